/** The tag, and what a page can ask of it. */

import { countBanners } from "./announce.js";
import { Banner } from "./banner.js";

const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {}); // importable on a server

/**
 * The banner.
 *
 * Attributes: `channel` (required); `mode` ("rotate", one line at a time; "list"; "scroll"); `max`; `min-urgency`;
 * `label`; `lang`; `dir`; `theme` ("light" or "dark"; else as the page); `sticky` ("top" or "bottom");
 * `controls="none"` (no previous and next); `dismissible`; `hide-when-empty`; `src` (base URL of the server; else
 * where this module came from). Reflects its connection in `state`.
 *
 * Events, bubbling and composed: `ticker:line`, `ticker:correction`, `ticker:cancel`, `ticker:open` (a reader opens
 * a line's link; cancelable) with `detail.line`; `ticker:state` with `detail.state`; `ticker:dismiss` (a reader closes
 * it; cancelable) with `detail.channel`.
 *
 * What the page puts inside the tag is shown until the first board, and then hidden (a list of lines, `<ol>`, is
 * removed); `slot="label"` and `slot="empty"` stay.
 */
export class BreakingTicker extends Base {
  static observedAttributes = ["src", "lang", "min-urgency", "mode", "dir", "channel", "label", "max", "sticky", "state"];

  #banner = new Banner(this, this.attachInternals());

  connectedCallback() {
    countBanners(1);
    this.#banner.join();
  }

  disconnectedCallback() {
    this.#banner.leave();
    countBanners(-1);
  }

  /** Moved by `moveBefore`, all stays as it is. */
  connectedMoveCallback() {}

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "state") this.#banner.render(); // it shows the real state, even if the page sets it
    else this.#banner.rejoin();
  }

  /** Hold the banner still until `resume`; corrections and withdrawals still show. */
  pause() {
    this.#banner.hold(true);
  }

  resume() {
    this.#banner.hold(false);
  }

  /** Close it, as a reader does: the next flash brings it back. No event is sent. */
  dismiss() {
    this.#banner.dismiss();
  }

  /** Connect again, and take whole boards. */
  refresh() {
    this.#banner.refresh();
  }
}
