/** What the public sees of one channel, through the readers' own door. Knows the feed; knows no page. */

import { Feed } from "/ticker.js";

/** @typedef {import("./api.js").Line} Line @typedef {"connecting"|"live"|"delayed"|"offline"} Trust */

/** Says `lines` when what is on air changed, and `trust` when it can be believed more or less than before. */
export class OnAir extends EventTarget {
  #feed = Feed.at(location.origin);
  #board;
  #channel;
  #listener = (/** @type {object[]|undefined} */ changes) => {
    this.#weigh();
    if (changes) this.dispatchEvent(new Event("lines"));
  };
  /** @type {Trust} */ #trust = "connecting";

  /** @param {string} channel */
  constructor(channel) {
    super();
    this.#channel = channel;
    this.#board = this.#feed.join(channel, this.#listener);
  }

  /** @returns {Line[]} in the public order: pinned first, then newest first */
  get lines() {
    return this.#board.lines;
  }

  get trust() {
    return this.#trust;
  }

  /** When the server was last heard, ms of this browser's clock. */
  get heard() {
    return this.#feed.heard;
  }

  /** ms of the server's clock */
  now() {
    return this.#board.now;
  }

  close() {
    this.#feed.leave(this.#listener);
  }

  #weigh() {
    const state = this.#feed.state(this.#channel);
    // Once lines are shown, a connection that is only being made vouches for none of them.
    const trust = state === "connecting" && this.#board.ready ? "offline" : state;
    if (trust === this.#trust) return;
    this.#trust = trust;
    this.dispatchEvent(new Event("trust"));
  }
}
