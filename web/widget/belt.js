/** The belt of the mode `scroll`: each line moves by itself, so that none jumps when another comes, changes or goes. */

import { SECOND } from "./units.js";

/** @typedef {import("./row.js").Row} Row */

const SPEED = 80; // pixels per second, the same for all

/** How far a row has come. @param {Row} row */
const passed = ({ motion }) => (Number(motion?.currentTime) * SPEED) / SECOND;

export class Belt {
  /** In the order in which they came. @type {Row[]} */
  #rows = [];
  #stage;
  #locale;
  #sizes = new ResizeObserver(() => this.#makeRoom());

  /** @param {HTMLElement} stage what it moves across @param {import("./locale.js").Locale} locale says which way */
  constructor(stage, locale) {
    this.#stage = stage;
    this.#locale = locale;
  }

  /**
   * Let rows onto it as long as there is room behind the last.
   * @param {Map<string, Row>} rows by the id of their line
   * @param {string[]} ids all that may be on it, in order
   * @param {string[]} queue ids of those whose turn is next
   * @param {(row: Row) => void} onfinish it has come all the way
   * @returns {string[]} what is left of the queue
   */
  fill(rows, ids, queue, onfinish) {
    const width = this.#stage.clientWidth;
    const last = this.#rows.at(-1);
    let end = last ? Math.max(width, last.from + last.size - passed(last)) : width / 2;
    while (width && end < width + SPEED) {
      queue = queue.filter((id) => rows.has(id));
      if (!queue.length) queue = ids;
      const id = queue.find((id) => !rows.get(id)?.motion);
      const row = rows.get(/** @type {string} */ (id));
      if (!row) break;
      queue = queue.filter((each) => each !== id);
      const { item } = row;
      item.classList.add("on");
      row.from = end;
      row.size = item.offsetWidth + 1; // which is rounded
      item.style.minInlineSize = `${row.size}px`; // shorter words draw nothing after them
      row.motion = item.animate(...this.#course(row));
      row.motion.onfinish = () => onfinish(row);
      this.#rows.push(row);
      this.#sizes.observe(item);
      end += row.size;
    }
    return queue;
  }

  /** @param {Row} row */
  remove(row) {
    this.#sizes.unobserve(row.item);
    this.#rows = this.#rows.filter((each) => each !== row);
  }

  clear() {
    this.#rows = [];
    this.#sizes.disconnect();
  }

  /** @param {Row} row @returns {[Keyframe[]|PropertyIndexedKeyframes, {duration: number, fill: "forwards"}]} */
  #course({ from, size }) {
    return [
      { translate: [from, -size].map((x) => `${this.#locale.direction === "rtl" ? -x : x}px`) },
      { duration: ((from + size) / SPEED) * SECOND, fill: "forwards" },
    ];
  }

  /** Longer words, another font, wider spacing: what is behind a line that has grown makes room for it. */
  #makeRoom() {
    let end = -Infinity;
    for (const row of this.#rows) {
      const { item, motion } = row;
      const size = Math.max(row.size, item.offsetWidth);
      const by = Math.max(0, end - (row.from - passed(row)));
      if (motion && (by || size > row.size)) {
        row.from += by;
        row.size = size;
        motion.effect = new KeyframeEffect(item, ...this.#course(row));
      }
      end = row.from + row.size - passed(row);
    }
  }
}
