/**
 * The changes an editor makes to one line: correct, withhold, release. Each is a small form in the line's place.
 * Knows the API; knows no board.
 *
 * Rule 1: words are replaced only where the editor has seen what they replace (If-Match).
 * Rule 2: what somebody else changed meanwhile is shown beside one's own words; one's own words stay.
 * Rule 3: to take words down, no version is asked for: whatever they say by now, they go.
 */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, sendKeys, showFaults } from "./fields.js";
import { expiry, folded, toTheMinute, toTheSecond, URGENCIES } from "./words.js";

/** @typedef {import("./api.js").Line} Line @typedef {import("./api.js").Api} Api */

/** Nothing was sent: what had to be read first could not be. */
class Unsent extends Error {}

/** Says `kept` (detail: what to say about it) and `close`. After construction, `begin` sets the form up. */
class Change extends EventTarget {
  /** @type {HTMLFormElement} */ form;
  /** @type {Line} the line as the editor began with it */ line;
  /** @type {Api} */ api;
  #listening = new AbortController();
  #sending = false;

  /** @param {Line} line @param {Api} api */
  constructor(line, api) {
    super();
    this.line = line;
    this.api = api;
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector(`template#${this.kind}`));
    this.form = /** @type {any} */ (template.content.cloneNode(true)).firstElementChild;
    const { signal } = this;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    }, { signal });
    this.form.addEventListener("input", () => clearFaults(this.form), { signal });
    this.form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      if (this.dirty) this.trouble("What you typed is not saved. Save it, or discard it with the button.");
      else this.close();
    }, { signal });
    this.form.querySelector("[data-do=close]").addEventListener("click", () => this.close(), { signal });
  }

  /** @returns {"correct"|"withhold"|"release"} */
  get kind() {
    throw new Error("each change names its kind");
  }

  get signal() {
    return this.#listening.signal;
  }

  /** Whether something is typed that would be lost. */
  get dirty() {
    return this.value("note") !== "";
  }

  /** Whether a change is on its way to the server. */
  get sending() {
    return this.#sending;
  }

  begin() {}

  focus() {
    /** @type {HTMLElement} */ (this.form.querySelector("textarea, input, select")).focus();
  }

  close() {
    if (this.signal.aborted) return;
    this.dispatchEvent(new Event("close"));
    this.#listening.abort();
  }

  /** The line has changed under the editor's hands; null: it has left the board. @param {Line|null} _line */
  overtaken(_line) {}

  /** Do it. @returns {Promise<string|null>} what to say; null where there was nothing to do */
  async perform() {
    throw new Error("each change says what it does");
  }

  /** @param {string} said */
  finish(said) {
    this.dispatchEvent(new CustomEvent("kept", { detail: said }));
    this.close();
  }

  /** @param {string} words */
  trouble(words) {
    const place = /** @type {HTMLElement} */ (this.form.querySelector(".trouble"));
    place.hidden = words === "";
    place.textContent = words;
  }

  /** @param {string} name @returns {string} */
  value(name) {
    return this.field(name).value.trim();
  }

  /** @param {string} name @returns {HTMLInputElement} */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  async #submit() {
    if (this.#sending) return;
    this.#sending = true;
    this.form.setAttribute("aria-busy", "true");
    this.trouble("");
    try {
      const said = await this.perform();
      if (said !== null) this.finish(said);
    } catch (problem) {
      this.#failed(problem);
    } finally {
      this.#sending = false;
      this.form.removeAttribute("aria-busy");
    }
  }

  #failed(problem) {
    if (problem instanceof Refused) {
      const rest = showFaults(this.form, problem.fields);
      this.trouble(problem.fields.size && !rest ? "" : rest || problem.message);
    } else if (problem instanceof Unheard) {
      this.trouble(`${problem.message} It is not known whether the change was made. `
        + "What you typed is kept, and trying again is safe.");
    } else if (problem instanceof Unsent) {
      this.trouble(problem.message);
    } else {
      throw problem;
    }
  }
}

export class Holding extends Change {
  get kind() {
    return /** @type {const} */ ("withhold");
  }

  begin() {
    sendKeys(this.form, { enter: true }, this.signal);
  }

  async perform() {
    const note = this.value("note");
    const { line } = await this.api.correct(this.line, { status: "withheld", ...(note && { note }) });
    return `Withheld at ${toTheSecond(line.updated)}. The public no longer gets these words.`;
  }

  overtaken(line) {
    if (line !== null && line.status !== "usable") this.close();
  }
}

/** A change of words that must not overwrite what the editor hasn't seen: it holds the version it is made upon. */
class Rewriting extends Change {
  /** @type {Line|null} the newest version shown to the editor, words included */ #seen = null;
  #etag = "";
  /** @type {Promise<void>|null} */ #reading = null;
  /** @type {{upon: Line, change: object}|null} a change sent, until its answer comes */ #sent = null;

  begin() {
    this.#read().catch(() => {}); // said when the editor sends; until then nothing is amiss
  }

  /** The newest version is another than the editor has seen. @param {Line} _newest @param {boolean} _first */
  learned(_newest, _first) {}

  /** What to say of a change that was made. @param {Line} _line @returns {string} */
  told(_line) {
    throw new Error("each change tells what it did");
  }

  overtaken(line) {
    if (this.sending) return; // most likely our own change, come back by the feed before the answer to it
    if (line === null) {
      this.trouble("This line has left the board: it expired, or newer lines pushed it off. What you typed is kept.");
    } else if (line.status === "canceled") {
      this.trouble("This line was canceled meanwhile, for good. What you typed is kept here until you discard it.");
    } else if (line.version > (this.#seen?.version ?? this.line.version)) {
      this.#read().catch(() => {});
    }
  }

  /** Send a change made upon the version seen. @returns {Promise<string|null>} null: there is a newer one, now shown */
  async replace(change) {
    if (this.#seen === null) {
      await this.#look();
      if (this.#seen.version !== this.line.version) return null;
    }
    this.#sent = { upon: this.#seen, change };
    try {
      const { line } = await this.api.correct(this.line, change, this.#etag);
      this.#sent = null;
      return this.told(line);
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
      if (problem.status === 412) {
        await this.#look();
        if (this.signal.aborted) return null;
        if (this.#wasMade()) return this.told(this.#seen);
      }
      this.#sent = null;
      if (problem.status !== 412) throw problem;
      return null;
    }
  }

  /** As `#read`, for one who has to know. */
  async #look() {
    try {
      await this.#read();
    } catch (problem) {
      if (!(problem instanceof Unheard)) throw problem;
      throw new Unsent("The server does not answer. Nothing was changed; what you typed is kept.", { cause: problem });
    }
  }

  /** Take the newest version in, with the tag that proves to the server that it was seen. */
  #read() {
    this.#reading ??= this.#fetch().finally(() => { this.#reading = null; });
    return this.#reading;
  }

  async #fetch() {
    const { versions, etag } = await this.api.audit(this.line);
    const newest = versions.at(-1);
    if (this.signal.aborted) return;
    const first = this.#seen === null;
    const news = newest.version > (this.#seen?.version ?? this.line.version);
    this.#seen = newest;
    this.#etag = etag;
    if (this.#wasMade()) {
      if (!this.sending) this.finish(this.told(newest));
    } else if (first || news) {
      this.learned(newest, !news);
    }
  }

  /** A change whose answer was lost did arrive: the version after the one it was made upon says just that. */
  #wasMade() {
    if (this.#sent === null || this.#seen.version !== this.#sent.upon.version + 1) return false;
    return Object.entries(this.#sent.change).every(([name, value]) => name === "expires_in" || this.#seen[name] === value);
  }
}

export class Correction extends Rewriting {
  #recount;
  /** @type {Line} what the fields began with: only what differs from it is sent */ #from;

  get kind() {
    return /** @type {const} */ ("correct");
  }

  begin() {
    const area = /** @type {any} */ (this.field("text"));
    area.lang = this.line.language;
    area.dir = this.line.direction;
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
    if (this.value("urgency") !== this.#from.urgency) change.urgency = this.value("urgency");
    if (this.field("pinned").checked !== this.#from.pinned) change.pinned = this.field("pinned").checked;
    if (this.value("note")) change.note = this.value("note");
    return change;
  }

  #showNewer(newest) {
    const from = this.#from;
    const box = /** @type {HTMLElement} */ (this.form.querySelector(".newer"));
    box.hidden = false;
    const who = newest.by ? ` by ${newest.by}` : "";
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
    this.#say(first ? "These words go back on air:" : `Changed meanwhile${newest.by ? ` by ${newest.by}` : ""}. These words go back on air:`);
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
