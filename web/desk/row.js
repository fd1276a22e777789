/** One line on the desk's board: how it looks, and which changes it offers. Knows no connection. */

import { Refused, Unheard } from "./api.js";
import { Correction, Releasing, slotOf } from "./changes.js";
import { hostOf, inFull, span, toTheMinute, toTheSecond, URGENCIES } from "./words.js";

/**
 * @typedef {import("./api.js").Line} Line
 * @typedef {"live"|"delayed"|"offline"} Trust how far the board can be believed
 * @typedef {{api: import("./api.js").Api, say: (tone: string, words: string) => void,
 *            cancel: (row: Row) => void, left: (row: Row) => void, drafts: import("./draft.js").Drafts}} Desk
 */

const CHANGES = { correct: Correction, release: Releasing };

const ACTIONS = {
  usable: [["correct", "Correct"], ["withhold", "Withhold"], ["cancel", "Cancel…"]],
  withheld: [["release", "Release"], ["correct", "Correct"], ["cancel", "Cancel…"]],
  canceled: [],
};

export class Row {
  /** @type {HTMLLIElement} */ element;
  #desk;
  /** @type {Line} */ #line;
  #gone = false;
  /** @type {Correction|Releasing|null} */ #change = null;
  #heldFor = 0; // the version whose held words are shown
  #withholding = false;

  /** @param {Line} line @param {Desk} desk */
  constructor(line, desk) {
    this.#desk = desk;
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector("template#line"));
    this.element = /** @type {any} */ (template.content.cloneNode(true)).firstElementChild;
    this.#part("article").addEventListener("keydown", (event) => {
      const plain = !(event.ctrlKey || event.metaKey || event.altKey);
      if (event.target === event.currentTarget && plain && event.key.toLowerCase() === "w") this.#withhold();
    });
    this.show(line);
  }

  get line() {
    return this.#line;
  }

  /** Whether something is typed here that would be lost with the row. */
  get dirty() {
    return this.#change?.dirty ?? false;
  }

  /** Whether it has left the board and stands here only for what is typed in it. */
  get gone() {
    return this.#gone;
  }

  /** @param {Line} line as the board has it now */
  show(line) {
    const before = this.#line;
    this.#gone = false;
    if (before && before.version === line.version && before.status === line.status) return;
    this.#line = line;
    const { dataset } = this.element;
    dataset.status = line.status;
    dataset.urgency = line.urgency;
    dataset.id = line.id;
    this.#tell(".urgency", URGENCIES[line.urgency] ?? line.urgency);
    this.#tell(".text", line.text, line);
    this.#tell(".source", line.source, line);
    this.#tell(".note", line.note, line);
    this.#tell(".corrected", line.corrected && `Corrected ${toTheMinute(line.corrected)}`);
    this.#tell(".version", line.status === "usable" && line.version > 1 && `Version ${line.version}`);
    this.#part(".pin").hidden = !line.pinned;
    const link = /** @type {HTMLAnchorElement} */ (this.#part(".link"));
    link.hidden = !line.url;
    if (line.url) {
      link.href = line.url;
      link.title = line.url;
      link.textContent = hostOf(line.url);
    }
    if (line.status === "withheld") this.#showHeld(line);
    else this.#tell(".held", null);
    this.#offer();
    this.#change?.overtaken(line);
  }

  /** The words of time: they change with the clock. @param {number} now ms of the server's clock @param {Trust} trust */
  tick(now, trust) {
    const line = this.#line;
    const age = /** @type {HTMLTimeElement} */ (this.#part(".age"));
    const seconds = Math.max(0, (now - Date.parse(line.published)) / 1000);
    age.dateTime = line.published;
    age.title = inFull(line.published);
    set(age, seconds < 60 ? span(seconds) : `${toTheMinute(line.published)} · ${span(seconds)}`);
    const left = line.expires && line.status === "usable" ? (Date.parse(line.expires) - now) / 1000 : null;
    const expiry = this.#part(".expiry");
    expiry.hidden = left === null || left <= 0;
    if (left !== null && left > 0) set(expiry, left < 60 ? "expires in less than a minute" : `expires in ${span(left)}`);
    if (line.expires) expiry.title = inFull(line.expires);
    const state = this.#part(".state");
    set(state, this.#state(trust));
    this.element.dataset.state = this.#gone ? "gone" : line.status === "usable" && trust === "offline" ? "unsure" : line.status;
  }

  /** It has left the board: expired, or pushed off by newer lines. What is typed in it stays. */
  leave() {
    this.#gone = true;
    this.#change?.overtaken(null);
  }

  /** Open again what was typed here before a reload or a crash. */
  resume() {
    const draft = this.#desk.drafts.find(slotOf(this.#line));
    if (draft?.line === undefined || this.#line.status === "canceled") return;
    const change = this.#open("correct", draft.line);
    if (change instanceof Correction) change.resume(draft);
  }

  /** What is typed here is given up. */
  discard() {
    this.#change?.close();
  }

  /** @param {"correct"|"release"} kind */
  open(kind) {
    this.#open(kind, this.#line).focus();
  }

  /** @param {"correct"|"release"} kind @param {Line} line as the editor began with it */
  #open(kind, line) {
    this.#change?.close();
    const panel = this.#part(".panel");
    const change = new CHANGES[kind](line, this.#desk.api, this.#desk.drafts);
    this.#change = change;
    panel.replaceChildren(change.form);
    panel.hidden = false;
    change.addEventListener("close", () => this.#closed(kind, change));
    change.addEventListener("kept", (event) => this.#desk.say("good", /** @type {CustomEvent} */ (event).detail));
    change.begin();
    this.#offer();
    return change;
  }

  focus() {
    this.#part("article").focus();
  }

  /** The words of this line that stand on the page, as a quotation. @param {HTMLElement} place */
  quote(place) {
    const held = this.#part(".held");
    place.lang = this.#line.language;
    place.dir = this.#line.direction;
    place.textContent = this.#line.text ?? held.textContent;
  }

  #state(trust) {
    if (this.#gone) return "Off air";
    switch (this.#line.status) {
      case "usable": return trust === "offline" ? "Last seen on air" : "On air";
      case "withheld": return "Withheld";
      default: return "Canceled";
    }
  }

  #closed(kind, change) {
    if (this.#change !== change) return;
    const within = this.element.contains(document.activeElement) || document.activeElement === document.body;
    this.#change = null;
    const panel = this.#part(".panel");
    panel.hidden = true;
    panel.replaceChildren();
    this.#offer();
    if (this.#gone) {
      this.#desk.left(this);
      return;
    }
    if (within) (this.#part(`button[data-do="${kind}"]`) ?? this.#part("article")).focus();
  }

  #offer() {
    const actions = this.#part(".actions");
    const focused = actions.contains(document.activeElement);
    const wanted = this.#gone ? [] : ACTIONS[this.#line.status] ?? [];
    const kinds = wanted.map(([kind]) => kind).join();
    if (actions.dataset.kinds !== kinds) {
      actions.dataset.kinds = kinds;
      actions.replaceChildren(...wanted.map(([kind, word]) => this.#button(kind, word)));
      if (focused) this.focus();
    }
    for (const button of actions.querySelectorAll("button")) {
      if (button.dataset.do === "cancel" || button.dataset.do === "withhold") continue;
      button.setAttribute("aria-expanded", String(button.dataset.do === this.#change?.kind));
    }
  }

  #button(kind, word) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.dataset.do = kind;
    button.textContent = word;
    button.addEventListener("click", () => {
      if (kind === "cancel") this.#desk.cancel(this);
      else if (kind === "withhold") this.#withhold();
      else if (this.#change?.kind === kind) this.#change.focus();
      else if (this.#change?.dirty) this.#change.focus(); // one change at a time; nothing typed is thrown away
      else this.open(kind);
    });
    return button;
  }

  /** Off the air, at once: nothing is asked, and no version is sent, so it is withheld even if its text has changed. */
  async #withhold() {
    if (this.#withholding || this.#line.status !== "usable") return;
    this.#withholding = true;
    try {
      const { line } = await this.#desk.api.correct(this.#line, { status: "withheld" });
      this.#desk.say("good", `Withheld at ${toTheSecond(line.updated)}. The public no longer gets these words. Release puts them back; Correct adds a note.`);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) {
        this.#desk.say("bad", "This page itself failed. It is not known whether the line was withheld. Press again: that is safe.");
        throw problem;
      }
      this.#desk.say("bad", problem instanceof Refused
        ? `Not withheld. ${problem.message}`
        : `${problem.message} It is not known whether the line was withheld. Press again: that is safe.`);
    } finally {
      this.#withholding = false;
    }
  }

  async #showHeld(line) {
    const held = this.#part(".held");
    try {
      const { versions } = await this.#desk.api.audit(line);
      const latest = versions.at(-1);
      if (this.#line.status !== "withheld" || latest.version < this.#heldFor) return;
      this.#heldFor = latest.version;
      this.#tell(".held", latest.text, line);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      if (this.#line.status !== "withheld") return;
      held.hidden = false;
      held.textContent = "The held words could not be fetched.";
    }
  }

  /** @returns {HTMLElement} */
  #part(selector) {
    return this.element.querySelector(selector);
  }

  #tell(selector, words, line) {
    const part = this.#part(selector);
    part.hidden = !words;
    set(part, words || "");
    if (line) {
      part.lang = line.language;
      part.dir = selector === ".source" || selector === ".note" ? "auto" : line.direction;
    }
  }
}

/** Only a text that differs is set: screen readers and selections are left in peace. */
function set(part, words) {
  if (part.textContent !== words) part.textContent = words;
}
