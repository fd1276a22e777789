/**
 * Extras (extras.js) are a file beside the script, loaded by the first banner that needs them. A page may have pinned
 * the script by its hash: so the extras are exactly those that it was built with (Subresource Integrity), or none.
 */

import { make } from "./dom.js";

/** @typedef {typeof import("./extras.js")} Extras */

/** @type {Promise<Extras>|undefined} */
let extras;
/** Whether they could not be had: a banner does without. */
export let areExtrasMissing = false;

/** @returns {Promise<Extras>} */
const load = () => {
  const url = new URL(import.meta.url);
  url.pathname = url.pathname.replace(/js$/, "extras.js");
  url.search = EXTRAS_INTEGRITY; // other extras, another address: of two releases, caches mix none
  return new Promise((resolve, reject) => {
    // What is preloaded as a module is what is imported then. An `import()` alone can't be told a hash.
    const link = make("link", "", {
      rel: "modulepreload",
      href: url.href,
      integrity: EXTRAS_INTEGRITY,
      crossOrigin: "anonymous",
      onload: () => resolve(import(url.href)),
      onerror: reject,
    });
    document.head.append(link);
  });
};

/** @param {(extras: Extras) => void} use @param {() => void} [otherwise] */
export const withExtras = (use, otherwise) => {
  (extras ??= load()).then(use, () => {
    areExtrasMissing = true;
    otherwise?.();
  });
};

/** @type {Extras["directionOf"]|undefined} */
let rule;

/**
 * Which way words in a language run. It takes the extras to know: until they have come, as in English, which is what a
 * banner speaks until then.
 * @param {string} language
 * @param {() => void} then it is known
 */
export const directionOf = (language, then) => {
  if (rule) return rule(language);
  withExtras((extras) => {
    rule = extras.directionOf;
    then();
  });
  return "ltr";
};
