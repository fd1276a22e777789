/** The rows of a banner's list, by the id of their line. */

import { Row } from "./row.js";

/** @typedef {import("./board.js").Line} Line */

/** @extends {Map<string, Row>} */
export class Rows extends Map {
  /** What some of them are on, in the mode `scroll`. @type {import("./belt.js").Belt|undefined} */
  belt;
  #list;

  /** @param {HTMLElement} list */
  constructor(list) {
    super();
    this.#list = list;
  }

  /** A row for each line, in their order. @param {Line[]} lines @param {(row: Row, line: Line) => void} fill */
  arrange(lines, fill) {
    lines.forEach((line, index) => {
      const row = this.get(line.id) ?? new Row();
      const there = this.#list.children[index];
      this.set(line.id, row);
      if (row.line !== line) fill(row, line);
      if (there !== row.item) this.#list.insertBefore(row.item, there);
    });
  }

  /** @param {string} id */
  drop(id) {
    const row = /** @type {Row} */ (this.get(id));
    this.belt?.remove(row);
    row.item.remove();
    this.delete(id);
  }

  dropAll() {
    this.belt?.clear();
    this.clear();
    this.#list.replaceChildren();
  }
}
