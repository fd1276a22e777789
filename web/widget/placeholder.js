/** What the page put inside the tag: shown until there are lines. */

import { announcer } from "./announce.js";

/** What follows in the page, and is inside a tag that isn't closed. No one means it to be shown until there are lines. */
const FOLLOWS = "main,article,header,footer,h1,script";

/** Banners whose missing closing tag the console has already reported. */
const warned = new WeakSet();

/**
 * Lines that a server wrote may have been withdrawn since. All else is the page's: hidden, and left as it is.
 * @param {HTMLElement} host
 * @param {import("./tree.js").Tree} tree
 * @param {boolean|undefined} ready whether there was a board yet
 */
export const renderPlaceholder = (host, { wait, stage }, ready) => {
  const children = [...host.children].filter((child) => !child.slot);
  if (ready) for (const child of children) if (child.localName === "ol") child.remove();
  const isBelow = children.some((child) => child.matches(FOLLOWS));
  wait.hidden = !isBelow && (ready || !host.firstChild); // nothing inside, nothing to keep a place for
  const parent = isBelow ? /** @type {ShadowRoot} */ (host.shadowRoot) : stage;
  if (wait.parentNode !== parent) parent.append(wait);
  // If it isn't closed, nothing follows behind it.
  const isLast = !host.nextSibling || host.nextSibling === announcer;
  if (!warned.has(host) && (isBelow || (isLast && children.some((child) => !child.matches("a,ol"))))) {
    warned.add(host);
    console.warn("Not closed? What follows is inside:", host);
  }
};
