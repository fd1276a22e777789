/** In the classic script, in place of `import.meta.url`. */

// What a loader evaluates by itself came from nowhere: then the server is the page's own, or `src` names it.
export const scriptUrl = /** @type {HTMLScriptElement|null} */ (document.currentScript)?.src || document.baseURI;
