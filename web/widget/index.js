/**
 * Ticker: breaking lines in your page, live.
 *
 *     <script type="module" src="https://ticker.example/ticker.js"></script>
 *     <breaking-ticker channel="en"></breaking-ticker>
 *
 * Three rooms, in the order in which a line passes through them:
 *
 *     Feed ── frames ──▶ Board ── lines, changes ──▶ BreakingTicker
 *
 * Rule 1: Feed knows the connection and no DOM; Board is a pure fold; BreakingTicker knows no socket.
 * Rule 2: state is repaired, never guessed: what doesn't follow on the cursor we hold brings a new board.
 * Rule 3: what comes over the wire is text (`textContent`), never markup.
 * Rule 4: the words of a withdrawn line are nowhere: not in the DOM, not in memory.
 *
 * No cookie, no storage, no identifier, no dependency. Built into ../ticker.js by `make widget` (../build.mjs).
 */

import { BreakingTicker } from "./element.js";

export { Board } from "./board.js";
export { Feed } from "./feed.js";
export { BreakingTicker };

if (globalThis.customElements && !customElements.get("breaking-ticker")) {
  customElements.define("breaking-ticker", BreakingTicker);
}
