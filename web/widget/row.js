/** One line in the list: its elements, and what is written in them. */

import { make, write } from "./dom.js";

/** @typedef {import("./board.js").Line} Line @typedef {import("./locale.js").Locale} Locale */

export class Row {
  /** What it says; nothing before `fill`. @type {Line|undefined} */
  line;
  /** On the belt: how it moves, where in pixels it began, and how long it is. @type {Animation|undefined} */
  motion;
  from = 0;
  size = 0;
  #words = make("div", "words"); // no <p>: who spaces paragraphs out (WCAG 2.2, 1.4.12) would push it off its row
  item = make("li", "line", false, this.#words);
  /** By name. @type {Record<string, HTMLElement>} */
  #parts = {};

  /**
   * Make it what its line says. What is the same already isn't touched: it may have focus, or be selected.
   * @param {Line} line
   * @param {Locale} locale
   * @param {number} now
   * @param {(event: MouseEvent) => void} onclick of its link
   */
  fill(line, locale, now, onclick) {
    const { words } = locale;
    const { status, text, url, source, note } = line;
    const isUsable = status === "usable";
    const isLink = isUsable && /^https?:/i.test(url ?? "");
    /** @type {[keyof HTMLElementTagNameMap, string, string|null|undefined][]} */
    const parts = [
      ["time", "time", locale.since(line.published, now)],
      ["bdi", "flash", isUsable && line.urgency === "flash" ? words.flash : ""],
      ["bdi", "mark", isUsable ? line.corrected && words.corrected : words[status]],
      [isLink ? "a" : "span", "text", text],
      ["bdi", "source", source],
      ["bdi", "note", note],
    ];
    this.line = line;
    Object.assign(this.item, { lang: line.language, dir: line.direction }).dataset.urgency = line.urgency;

    /** The part before; there is a space behind each. @type {any} */
    let before;
    for (const [tag, name, content] of parts) {
      let part = this.#parts[name];
      if (part ? !content || part.localName !== tag : content) {
        part?.nextSibling?.remove();
        part?.remove();
        delete this.#parts[name];
        // With something else behind it, browsers count a space as shifted: it is a new one.
        before?.nextSibling.replaceWith(" ");
        if (content) {
          part = this.#parts[name] = make(tag, name);
          if (before) before.nextSibling.after(part, " ");
          else this.#words.prepend(part, " ");
        }
      }
      if (!content) continue;
      write(part, content);
      before = part;
      if (/time|flash|mark/.test(name)) Object.assign(part, { lang: locale.language, dir: locale.direction }); // our words
      if (tag === "time") /** @type {HTMLTimeElement} */ (part).dateTime = line.published;
      if (tag === "a") Object.assign(part, { rel: "noopener", href: url, onclick });
    }
  }

  /** Write how long ago it was. @param {Locale} locale @param {number} now */
  tellTime(locale, now) {
    write(this.#parts.time, locale.since(/** @type {Line} */ (this.line).published, now));
  }
}
