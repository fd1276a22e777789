/**
 * The changes an editor makes to one line in a form: correct, release. To withhold is one press (row.js).
 */

import { Rewriting } from "./change.js";
import { oneLine, sendKeys, showFaults } from "./fields.js";
import { directionOf } from "./language.js";
import { folded } from "./paste.js";
import { expiry, toTheMinute, toTheSecond, URGENCIES } from "./words.js";

/** @typedef {import("./api.js").Line} Line */

const FIELDS = ["text", "note", "url", "source", "urgency", "language", "direction"];

/** Under which name a correction of this line is kept as a draft. @param {Line} line */
export const slotOf = (line) => `${line.channel}/${line.id}`;

export class Correction extends Rewriting {
  #recount;
  /** @type {Line} what the fields began with: only what differs from it is sent */ #from;

  get kind() {
    return /** @type {const} */ ("correct");
  }

  begin() {
    const area = /** @type {any} */ (this.field("text"));
    this.form.addEventListener("input", (event) => {
      if (event.target === this.field("language")) this.field("direction").value = directionOf(this.value("language"));
      this.#align();
      this.#keep();
    }, { signal: this.signal });
    this.#from = this.line;
    this.#fill(this.line);
    this.#recount = oneLine(area, this.form.querySelector(".count"), this.signal);
    sendKeys(this.form, {}, this.signal);
    if (this.line.text === undefined) area.placeholder = "Fetching the held words…";
    super.begin();
  }

  get dirty() {
    return Object.keys(this.#change()).length > 0;
  }

  close() {
    this.drafts.drop(slotOf(this.line));
    super.close();
  }

  /** What was typed before a reload or a crash; `begin` was given the line of then. @param {import("./draft.js").Draft} draft */
  resume({ at, fields }) {
    this.#fill({ ...fields, pinned: fields.pinned === "true" });
    this.field("note").value = fields.note;
    this.#recount();
    this.trouble(`Not saved yet: what you typed at ${toTheMinute(at)}.`);
  }

  #keep() {
    if (!this.dirty) {
      this.drafts.drop(slotOf(this.line));
      return;
    }
    const fields = Object.fromEntries(FIELDS.map((name) => [name, this.field(name).value]));
    this.drafts.keep(slotOf(this.line), { fields: { ...fields, pinned: String(this.field("pinned").checked) }, line: this.#from });
  }

  focus() {
    const area = this.field("text");
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  learned(newest, first) {
    if (!first) this.#showNewer(newest);
    this.#rebase(newest); // of a held line, the first to have its words
  }

  async perform() {
    const change = this.#change();
    if (Object.keys(change).length === 0) {
      this.trouble("Nothing is changed yet.");
      this.field("text").focus();
      return null;
    }
    const said = await this.replace(change);
    if (said === null) this.field("text").focus();
    return said;
  }

  told(line) {
    const at = toTheSecond(line.updated);
    return line.status === "usable" ? `Corrected at ${at}.` : `Corrected at ${at}; it is still withheld.`;
  }

  /** @param {object} line the fields to show */
  #fill(line) {
    this.field("text").value = line.text ?? "";
    this.field("url").value = line.url ?? "";
    this.field("source").value = line.source ?? "";
    this.field("urgency").value = line.urgency;
    this.field("pinned").checked = line.pinned;
    this.field("language").value = line.language;
    this.field("direction").value = line.direction;
    this.#align();
  }

  /** What is typed is read as what it will be. */
  #align() {
    const area = this.field("text");
    area.lang = this.value("language");
    area.dir = this.value("direction");
  }

  /** Build upon a newer version: what the editor typed stays, what they left alone follows. @param {Line} newest */
  #rebase(newest) {
    const { note: _, ...mine } = this.#change();
    this.#from = newest;
    this.#fill({ ...newest, ...mine });
    this.#recount();
  }

  /** What the editor changed, and nothing else. */
  #change() {
    const change = {};
    const text = this.field("text").value;
    if (folded(text) !== folded(this.#from.text ?? "")) change.text = folded(text);
    for (const name of ["url", "source"]) {
      const value = this.value(name) || null;
      if (value !== (this.#from[name] ?? null)) change[name] = value;
    }
    const [urgency, language, direction] = ["urgency", "language", "direction"].map((name) => this.value(name));
    if (urgency !== this.#from.urgency) change.urgency = urgency;
    if (language && language !== this.#from.language) change.language = language;
    // The server takes the direction of a new language, unless another is sent.
    if (direction !== (change.language ? directionOf(language) : this.#from.direction)) change.direction = direction;
    if (this.field("pinned").checked !== this.#from.pinned) change.pinned = this.field("pinned").checked;
    if (this.value("note")) change.note = this.value("note");
    return change;
  }

  #showNewer(newest) {
    const from = this.#from;
    const box = /** @type {HTMLElement} */ (this.form.querySelector(".newer"));
    box.hidden = false;
    const who = newest.by ? ` by ${newest.by.name}` : "";
    box.querySelector(".newer-by").textContent = newest.status === "usable"
      ? `Changed meanwhile${who}, ${toTheSecond(newest.updated)}. Now on air:`
      : `Changed meanwhile${who}, ${toTheSecond(newest.updated)}. Now ${newest.status}:`;
    const words = /** @type {HTMLElement} */ (box.querySelector(".newer-text"));
    words.textContent = newest.text ?? "";
    words.lang = newest.language;
    words.dir = newest.direction;
    const facts = [
      newest.urgency !== from.urgency && `Urgency: ${URGENCIES[newest.urgency] ?? newest.urgency}`,
      (newest.url ?? null) !== (from.url ?? null) && `Link: ${newest.url ?? "none"}`,
      (newest.source ?? null) !== (from.source ?? null) && `Source: ${newest.source ?? "none"}`,
      newest.pinned !== from.pinned && (newest.pinned ? "Pinned to the top" : "No longer pinned"),
      newest.language !== from.language && `Language: ${newest.language}`,
      newest.direction !== from.direction && `Direction: ${newest.direction === "rtl" ? "right to left" : "left to right"}`,
      newest.note && `Note: ${newest.note}`,
    ].filter((fact) => typeof fact === "string");
    box.querySelector(".newer-facts").replaceChildren(...facts.map((fact) => {
      const item = document.createElement("li");
      item.dir = "auto";
      item.textContent = fact;
      return item;
    }));
    if (!this.dirty) return;
    this.form.querySelector("button[type=submit]").textContent = "Replace with mine";
    this.form.querySelector("[data-do=close]").textContent = "Leave theirs, discard mine";
  }
}

export class Releasing extends Rewriting {
  get kind() {
    return /** @type {const} */ ("release");
  }

  #over = false; // its time ran out while it was held

  begin() {
    this.#say("Fetching the held words…");
    sendKeys(this.form, { enter: true }, this.signal);
    super.begin();
  }

  focus() {
    this.field("expires").focus();
  }

  learned(newest, first) {
    if (newest.status === "usable") {
      this.close();
      return;
    }
    this.#say(first ? "These words go back on air:" : `Changed meanwhile${newest.by ? ` by ${newest.by.name}` : ""}. These words go back on air:`);
    const words = /** @type {HTMLElement} */ (this.form.querySelector(".words"));
    words.textContent = newest.text ?? "";
    words.lang = newest.language;
    words.dir = newest.direction;
    const choice = /** @type {any} */ (this.field("expires"));
    const before = choice.options[0];
    this.#over = newest.expires !== null && Date.parse(newest.expires) <= Date.now();
    if (this.#over) before.textContent = "Choose: its time is over";
    else before.textContent = newest.expires ? `As before: until ${toTheMinute(newest.expires)}` : "As before: until taken down";
  }

  async perform() {
    const [note, choice] = [this.value("note"), this.value("expires")];
    if (this.#over && choice === "") {
      showFaults(this.form, new Map([["expires_in", "Its time ran out while it was held. Choose how long it stays on air."]]));
      return null;
    }
    return this.replace({ status: "usable", ...expiry(choice), ...(note && { note }) });
  }

  told(line) {
    return `Back on air since ${toTheSecond(line.updated)}.`;
  }

  #say(words) {
    this.form.querySelector(".newer-by").textContent = words;
  }
}
