/**
 * What screen readers are told (WCAG 2.2, 4.1.3). The page has one live region for all its banners, in the light DOM.
 * Its tag is no one else's: what morphs a page takes a <div> for one of its own.
 */

import { make } from "./dom.js";
import { SECOND } from "./units.js";

/** @typedef {import("./board.js").Change} Change @typedef {import("./locale.js").Locale} Locale */

const ANNOUNCE_AFTER = 0.5 * SECOND; // a burst is announced as one
const ANNOUNCE_AT_MOST = 3; // the newest of a burst
const KEEP_FOR = 10 * SECOND; // then the live region is emptied

/** Empty until something is announced. @type {HTMLElement} */
let liveRegion;
/** The live region, and beside it the alerts: within it, they might be said twice. @type {HTMLElement} */
export let announcer;
/** How many banners there are in the page. */
export let banners = 0;
let announceTimer = 0;
/** To be announced next, as one: by line. @type {Map<string, Node>} */
const pending = new Map();

/** Put it into the page: what morphs or replaces that takes it away. */
export const attachAnnouncer = () => {
  if (announcer.isConnected) return;
  for (const copy of document.querySelectorAll(announcer.localName)) copy.remove(); // of a page that was kept, or cloned
  document.body?.append(announcer);
};

/** @param {number} more banners in the page; -1 for one less */
export const countBanners = (more) => {
  if (!announcer) {
    liveRegion = make("div", "", { ariaLive: "polite" });
    announcer = document.createElement("ticker-announcer");
    // By CSSOM, not by a style attribute: the page's Content-Security-Policy may forbid those.
    announcer.style.cssText = "position:fixed!important;clip-path:inset(50%)!important";
    announcer.append(liveRegion);
  }
  banners += more;
  if (banners) attachAnnouncer();
  else announcer.remove();
};

/**
 * @param {(Change|Change[]) & {announced?: boolean}} what several banners may bring, and is announced once
 * @param {string} key of its line: an earlier announcement about that line is dropped
 * @param {boolean} isAlert now, rather than with what else comes
 * @param {...Node} words
 */
const announce = (what, key, isAlert, ...words) => {
  if (what.announced) return;
  what.announced = true;
  attachAnnouncer();
  const paragraph = make("p", "", isAlert && { role: "alert" }, ...words);
  liveRegion.replaceChildren(); // an alert may not have been heard yet
  pending.delete(key);
  if (isAlert) announcer.append(paragraph);
  else pending.set(key, paragraph);
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => {
    liveRegion.append(...[...pending.values()].slice(-ANNOUNCE_AT_MOST));
    pending.clear();
    announceTimer = setTimeout(() => {
      liveRegion.replaceChildren();
      announcer.replaceChildren(liveRegion);
    }, KEEP_FOR);
  }, ANNOUNCE_AFTER);
};

/**
 * Words in the language of a line, or else of the banner.
 * @param {string} content
 * @param {{language: string, direction: string}} of
 */
const spoken = (content, of) => make("span", "", { lang: of.language, dir: of.direction }, content);

/** @param {Change} change @param {Locale} locale @param {string|null} label the banner's */
export const announceChange = (change, locale, label) => {
  const { kind, line } = change;
  const { words } = locale;
  const isCancel = kind === "cancel";
  let what = label;
  if (isCancel) what = words[/** @type {"canceled"} */ (line.status)];
  else if (kind === "correction" && line.corrected) what = words.corrected;
  else if (line.urgency === "flash") what = words.flash;
  const rest = /** @type {string} */ (isCancel ? (line.note ?? "") : line.text);
  announce(change, line.channel + line.id, isCancel, spoken(`${what}: `, locale), spoken(rest, line));
};

/** What was missed, as one. @param {Change[]} changes @param {Locale} locale @param {string} channel @param {string} summary */
export const announceSummary = (changes, locale, channel, summary) =>
  announce(changes, channel, false, spoken(summary, locale));
