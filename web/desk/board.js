/**
 * The live board of one channel: what the public sees, in the public order, and how far that can be believed.
 *
 * Rule: the board shows what came through the readers' own door, never what the desk hopes it has done.
 */

import { OnAir } from "./onair.js";
import { Row } from "./row.js";
import { toTheSecond } from "./words.js";

const TICK = 5_000; // ms; ages are shown in steps of five seconds
const FRESH = 8_000; // ms for which a line that has just come is marked
const SAID = 12_000; // ms for which a message stands over the lines' lower edge; the line itself shows its state

/** @typedef {import("./api.js").Channel} Channel @typedef {import("./api.js").Line} Line @typedef {import("./row.js").Trust} Trust */

const TITLES = { connecting: "On air", live: "On air now", delayed: "On air a moment ago", offline: "Last seen on air" };

/**
 * Says `trust` (detail: the Trust, or "connecting"); with the line as detail `shown` for each that is on the board,
 * `new` for one that has just come, and `left` for one that is there no more.
 */
export class Board extends EventTarget {
  #section;
  /** @type {HTMLOListElement} */ #list;
  #desk;
  /** @type {Channel|null} */ #channel = null;
  /** @type {OnAir|null} */ #onAir = null;
  /** @type {AbortController|null} */ #watching = null;
  /** @type {Map<string, Row>} */ #rows = new Map();
  #filled = false;
  #silence = 0;

  /**
   * @param {HTMLElement} section @param {import("./api.js").Api} api @param {import("./draft.js").Drafts} drafts
   * @param {(row: Row) => void} cancel asks whether to cancel, and does @param {AbortSignal} signal
   */
  constructor(section, api, drafts, cancel, signal) {
    super();
    this.#section = section;
    this.#list = section.querySelector("#lines");
    this.#desk = { api, drafts, cancel, say: this.say.bind(this), left: (row) => this.#remove(row) };
    const timer = setInterval(() => this.#tick(), TICK);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.leave();
    });
  }

  /** Whether something is typed in one of the lines that would be lost. */
  get dirty() {
    return [...this.#rows.values()].some((row) => row.dirty);
  }

  /** @returns {Trust|"connecting"} */
  get trust() {
    return this.#onAir?.trust ?? "connecting";
  }

  /** Whether this line is on the board. @param {string} id */
  has(id) {
    return this.#rows.has(id);
  }

  /** @param {Channel} channel */
  watch(channel) {
    this.leave();
    this.#channel = channel;
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    const onAir = new OnAir(channel.slug);
    this.#onAir = onAir;
    onAir.addEventListener("lines", () => this.#show(onAir.lines), { signal });
    onAir.addEventListener("trust", () => this.#trusted(), { signal });
    this.#trusted();
  }

  /** Give up what is typed in the lines. */
  discard() {
    for (const row of [...this.#rows.values()]) row.discard();
  }

  /** Stop watching and forget everything shown. */
  leave() {
    this.#watching?.abort();
    this.#onAir?.close();
    this.#onAir = null;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#filled = false;
    this.say("", "");
    this.#part("#tally").textContent = "";
    this.#part("#nothing").hidden = true;
  }

  /** @param {string} tone @param {string} words */
  say(tone, words) {
    const said = this.#part("#said");
    said.dataset.tone = tone;
    said.textContent = words;
    clearTimeout(this.#silence);
    if (words) this.#silence = setTimeout(() => this.say("", ""), SAID);
  }

  /** @param {Line[]} lines in the public order */
  #show(lines) {
    const ids = new Set(lines.map(({ id }) => id));
    const held = document.activeElement;
    const within = this.#list.contains(held);
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      this.dispatchEvent(new CustomEvent("left", { detail: row.line }));
      if (row.dirty) row.leave();
      else this.#remove(row);
    }
    let place = this.#list.firstElementChild;
    for (const line of lines) {
      const row = this.#rows.get(line.id) ?? this.#add(line);
      row.show(line);
      while (place && this.#isGone(place)) place = place.nextElementSibling;
      if (place === row.element) place = place.nextElementSibling;
      else this.#list.insertBefore(row.element, place);
    }
    // A line that moves takes its focus along; insertBefore drops it.
    if (within && held !== document.activeElement && held.isConnected) /** @type {HTMLElement} */ (held).focus();
    this.#filled = true;
    this.#tick();
    this.#count(lines);
    for (const line of lines) this.dispatchEvent(new CustomEvent("shown", { detail: line }));
  }

  /** @param {Line} line */
  #add(line) {
    const row = new Row(line, this.#desk);
    this.#rows.set(line.id, row);
    row.resume();
    if (this.#filled && line.status === "usable") {
      row.element.dataset.fresh = "";
      setTimeout(() => delete row.element.dataset.fresh, FRESH);
      this.dispatchEvent(new CustomEvent("new", { detail: line }));
    }
    return row;
  }

  /** @param {Row} row */
  #remove(row) {
    const focused = row.element.contains(document.activeElement);
    this.#rows.delete(row.line.id);
    row.element.remove();
    if (focused) this.#part("#board-title").focus();
  }

  #isGone(element) {
    return this.#rows.get(element.dataset.id)?.gone ?? false;
  }

  /** @param {Line[]} lines */
  #count(lines) {
    const on = lines.filter(({ status }) => status === "usable").length;
    const off = lines.length - on;
    this.#part("#tally").textContent = `${on} of ${this.#channel.max_lines} lines${off ? ` · ${off} taken down` : ""}`;
    const nothing = this.#part("#nothing");
    nothing.hidden = lines.length > 0;
    nothing.textContent = "Nothing is on air. The next line you publish stands here.";
  }

  #trusted() {
    const { trust, heard } = this.#onAir;
    this.#section.dataset.trust = trust;
    this.#part("#board-title").textContent = TITLES[trust];
    const doubt = this.#part("#doubt");
    doubt.hidden = trust === "live" || trust === "connecting";
    doubt.textContent = trust === "delayed"
      ? `Delayed: the server is late. It was last heard at ${toTheSecond(heard)}; the public may see more than this.`
      : `Offline: this is what the public saw at ${toTheSecond(heard)}. It may have changed since. This page keeps trying to connect.`;
    this.#tick();
    this.dispatchEvent(new CustomEvent("trust", { detail: trust }));
  }

  #tick() {
    const { trust } = this;
    const now = this.#onAir?.now() ?? Date.now();
    for (const row of this.#rows.values()) row.tick(now, trust === "connecting" ? "offline" : trust);
  }

  /** @returns {HTMLElement} */
  #part(selector) {
    return this.#section.querySelector(selector);
  }
}
