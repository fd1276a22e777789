/**
 * What a channel shows now: frames folded into ordered lines. Pure, but for the clock.
 *
 * @typedef {import("../ticker.js").Line} Line
 * @typedef {import("../ticker.js").BoardFrame} BoardFrame
 * @typedef {import("../ticker.js").LineFrame} LineFrame
 * @typedef {import("../ticker.js").BeatFrame} BeatFrame
 *
 * @typedef {{kind: "line"|"correction"|"cancel", line: Line}} Change
 *   `line` is new; `correction` has other words, or has them again; `cancel` lost them (withheld or canceled).
 */

/**
 * Ids and cursors are `MS-N`: compared number by number. (An `Intl.Collator` could, and takes 7 ms to make.)
 * @param {string} a
 * @param {string} b
 */
const compare = (a, b) => parseInt(a) - parseInt(b) || +a.split("-")[1] - +b.split("-")[1];

/** Oldest first. @param {Line} a @param {Line} b */
const byId = (a, b) => compare(a.id, b.id);

/** @param {Line} line @returns {number} in milliseconds; Infinity for never */
export const expiry = (line) => Date.parse(/** @type {string} */ (line.expires)) || Infinity;

/** Each kind of frame has its method. What a board frame says is kept here under the names that it has there. */
export class Board {
  /** In order: pinned first, then newest first. @type {Line[]} */
  lines = [];
  /** Server's time less ours. Until that is known, nothing expires. */
  #clockOffset = -Infinity;
  #newestId = "0-0";

  /** The server's time, in milliseconds. @returns {any} */
  get now() {
    return Date.now() + this.#clockOffset;
  }

  /** @param {string|number} time */
  set now(time) {
    this.#clockOffset = +new Date(time) - Date.now() || 0;
  }

  /** Forget lines that have expired, or that the board has no room for. */
  prune() {
    let room = /** @type {any} */ (this).max_lines;
    this.lines = this.lines
      .filter((line) => expiry(line) > this.now)
      .sort((a, b) => +b.pinned - +a.pinned || byId(b, a))
      .filter((line) => line.status !== "usable" || room-- > 0);
  }

  /**
   * Take a whole board in place of all we hold.
   * @param {BoardFrame} frame
   * @returns {Change[]} oldest first; none for the first board, which is the starting point and not news
   */
  board(frame) {
    const { ready, lines } = this;
    const sorted = frame.lines.sort(byId);
    // It may come out of a cache, so that its `now` is old: time doesn't go back.
    const now = Math.max(this.now, +new Date(frame.now));
    Object.assign(this, frame, { lines: [], now });
    /** Whether there was a board yet. */
    this.ready = true;
    const changes = sorted.flatMap((line) => this.#put(line, lines));
    this.prune();
    return ready ? changes : [];
  }

  /**
   * Take one event.
   * @param {LineFrame} frame
   * @returns {Change[]|undefined} undefined where a board is wanted
   */
  line({ cursor, prev, line }) {
    if (cursor === this.cursor) return [];
    if (prev !== this.cursor) return (this.cursor = undefined);
    const changes = this.#put(line, this.lines, true);
    /** The event we stand at: null on an empty channel, undefined when a board is wanted.
     * @type {string|null|undefined} */
    this.cursor = cursor;
    this.prune();
    return changes;
  }

  /** @param {BeatFrame} frame */
  beat({ cursor, now }) {
    this.now = now;
    if (cursor !== this.cursor) this.cursor = undefined;
  }

  /**
   * @param {Line} line
   * @param {Line[]} held until now
   * @param {boolean} [isEvent] rather than part of a board
   * @returns {Change[]} one or none
   */
  #put(line, held, isEvent) {
    const before = held.find((each) => each.id === line.id);
    const isNewer = compare(line.id, this.#newestId) > 0;
    const isUsable = line.status === "usable";
    if (isNewer) this.#newestId = line.id;
    if (!isUsable) {
      // The server left its words out; see that they are.
      const { text, url, source, corrected, ...tombstone } = line;
      line = tombstone;
    }
    this.lines = [...this.lines.filter((each) => each !== before), line];
    const isChanged = before ? before.status !== line.status || before.corrected !== line.corrected : isEvent;
    /** @type {Change["kind"]|undefined} */
    let kind;
    if (isUsable && isNewer && !before) kind = "line";
    else if (isChanged) kind = isUsable ? "correction" : "cancel";
    return kind ? [{ kind, line }] : [];
  }
}
