/** The language that a banner speaks: its direction, words, numbers and times. Knows no DOM. */

import { request } from "./request.js";
import { MINUTE } from "./units.js";
import { ENGLISH } from "./words.js";

/** In minutes; what is less than one is now. @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 1440], ["hour", 60], ["minute", 1]]; // prettier-ignore

/** Other languages' words, by the address that they come from. @type {Record<string, Promise<Partial<typeof ENGLISH>>|undefined>} */
const vocabularies = {};

export class Locale {
  /** BCP 47. */
  language = "en";
  direction = "";
  words = ENGLISH;
  /** As it was asked for. @type {string|undefined} */
  #asked;
  /** @type {any} */
  #relativeTime;

  /**
   * Speak English in it, until its words have come (`load`).
   * @param {string} language what isn't one is English
   * @param {string} direction
   * @returns {boolean} whether it is another than before
   */
  change(language, direction) {
    if (this.#asked === language && this.direction === direction) return false;
    this.#asked = language;
    this.direction = direction;
    this.language = "en";
    try {
      this.language = `${new Intl.Locale(language)}`;
    } catch {} // no language
    this.#relativeTime = new Intl.RelativeTimeFormat(this.language, { numeric: "auto", style: "short" });
    this.words = ENGLISH;
    return true;
  }

  /** @param {string} server @returns {Promise<boolean|void>} whether there are words now that there weren't before */
  async load(server) {
    const { language } = this;
    const base = language.split("-")[0];
    const url = `${server}/words/${base}.json`;
    if (base === "en") return;
    try {
      const words = await (vocabularies[url] ??= request(url).then((response) => response.json()));
      if (this.language !== language) return;
      this.words = { ...ENGLISH, ...words };
      return true;
    } catch (/** @type {any} */ error) {
      if (!error.status) this.#asked = vocabularies[url] = undefined; // no answer: English, until they are asked for again
    }
  }

  /** "1 / 3". @param {...number} numbers */
  position(...numbers) {
    return numbers.map((n) => n.toLocaleString(this.language)).join(" / ");
  }

  /** "New: 3"; nothing for none. @param {"fresh"|"corrected"|"canceled"} name @param {string[]} ids */
  count(name, { length }) {
    return length ? `${this.words[name]}: ${this.position(length)}` : "";
  }

  /** What came while nobody looked. @param {string[]} canceled @param {string[]} corrected @param {string[]} fresh */
  summary(canceled, corrected, fresh) {
    const counts = [this.count("canceled", canceled), this.count("corrected", corrected), this.count("fresh", fresh)];
    return [this.words.away, ...counts].filter(Boolean).join(" · ");
  }

  /** How long ago, in words: "5 min ago". @param {string} time @param {number} now */
  since(time, now) {
    const ago = (now - Date.parse(time)) / MINUTE;
    const [unit, minutes] = UNITS.find(([, each]) => ago >= each) ?? ["second", Infinity];
    return this.#relativeTime.format(-Math.floor(ago / minutes), unit);
  }

  /** A time of the day. @param {number} time */
  clock(time) {
    return new Date(time).toLocaleTimeString(this.language, { timeStyle: "short" });
  }
}
