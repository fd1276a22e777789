/**
 * The last resort: if the page's scripts fail or can't run, the page says so.
 * A classic script in words that old browsers read too: it must run where the others don't. Knows no other part.
 *
 * Every handler that fails, at once or later, ends here, unless its own form says what became of it.
 */
"use strict";

(function () {
  /** @param {any} cause */
  function tell(cause) {
    var place = document.getElementById("broken");
    if (place === null) { // the page is still being read
      document.addEventListener("DOMContentLoaded", function () { tell(cause); });
      return;
    }
    var started = !(/** @type {HTMLElement} */ (document.getElementById("door")).hidden
      && /** @type {HTMLElement} */ (document.getElementById("desk")).hidden);
    var words = started
      ? "Something on this page failed. What you typed is still here. Look at the board to see whether your last action was done."
      : "The desk could not start. Reload the page; if that does not help, use a current browser.";
    var detail = String(cause && cause.message || cause || "no details");
    var said = /** @type {HTMLElement} */ (place.querySelector(".words"));
    var more = /** @type {HTMLElement} */ (place.querySelector(".detail"));
    if (!place.hidden && more.textContent === detail) return;
    // What a modal dialog covers can be neither heard nor pressed.
    (document.querySelector("dialog[open]") || document.body).appendChild(place);
    place.hidden = false;
    said.textContent = words;
    more.textContent = detail;
  }

  addEventListener("error", function (event) {
    var source = /** @type {any} */ (event.target);
    if (source === window) tell(event.error || event.message);
    else if (source.src || source.href) tell("It was not loaded: " + (source.src || source.href));
  }, true); // a script that doesn't load says so to nobody but who captures
  addEventListener("unhandledrejection", function (event) { tell(event.reason); });

  document.addEventListener("DOMContentLoaded", function () {
    var place = /** @type {HTMLElement} */ (document.getElementById("broken"));
    place.querySelector("[data-do=reload]").addEventListener("click", function () { location.reload(); });
    place.querySelector("[data-do=close]").addEventListener("click", function () { place.hidden = true; });
  });
})();
