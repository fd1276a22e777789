/**
 * How a change to one line is made and what can come between: the small form in the line's place.
 * Knows the API; knows no board. Which changes there are stands in changes.js.
 *
 * Rule 1: text is replaced only if the editor has seen the text that it replaces (If-Match).
 * Rule 2: what somebody else changed meanwhile is shown beside one's own words; one's own words stay.
 */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, showFaults, showRefused, showWarnings, ticked } from "./fields.js";
import { folded } from "./paste.js";

/** @typedef {import("./api.js").Line} Line @typedef {import("./api.js").Api} Api */

/** Nothing was sent: what had to be read first could not be. */
class Unsent extends Error {}

/** Says `kept` (detail: what to say about it) and `close`. After construction, `begin` sets the form up. */
export class Change extends EventTarget {
  /** @type {HTMLFormElement} */ form;
  /** @type {Line} the line as the editor began with it */ line;
  /** @type {Api} */ api;
  /** @type {import("./draft.js").Drafts} */ drafts;
  #listening = new AbortController();
  #sending = false;

  /** @param {Line} line @param {Api} api @param {import("./draft.js").Drafts} drafts */
  constructor(line, api, drafts) {
    super();
    this.line = line;
    this.api = api;
    this.drafts = drafts;
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector(`template#${this.kind}`));
    this.form = /** @type {any} */ (template.content.cloneNode(true)).firstElementChild;
    const { signal } = this;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    }, { signal });
    this.form.addEventListener("input", () => clearFaults(this.form), { signal });
    for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (this.form.querySelectorAll("[name=note], [name=url], [name=source]"))) {
      oneLine(input, null, signal);
    }
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

  /** Do it. @returns {Promise<string|null>} what to say; null if there was nothing to do */
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

  /** The warnings that are ticked, as the API takes them. */
  get confirmed() {
    return ticked(this.form.querySelector(".warnings"));
  }

  /** @param {string} name @returns {string} */
  value(name) {
    return folded(this.field(name).value);
  }

  /** @param {string} name @returns {HTMLInputElement} */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  async #submit() {
    if (this.#sending || showRefused(this.form)) return;
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
    if (problem instanceof Refused && problem.warnings.length > 0) {
      showWarnings(this.form.querySelector(".warnings"), problem.warnings);
      this.trouble("Look again before this goes out. Tick each warning that may be passed over.");
    } else if (problem instanceof Refused) {
      const rest = showFaults(this.form, problem.fields);
      this.trouble(problem.fields.size && !rest ? "" : rest || problem.message);
    } else if (problem instanceof Unheard) {
      this.trouble(`${problem.message} It is not known whether the change was made. `
        + "What you typed is kept, and trying again is safe.");
    } else if (problem instanceof Unsent) {
      this.trouble(problem.message);
    } else {
      this.trouble("This page itself failed. It is not known whether the change was made. "
        + "What you typed is kept, and trying again is safe.");
      throw problem;
    }
  }
}

/** The server's errors are shown when the editor sends; the page's own are always shown. */
function unlessOurs(problem) {
  if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
}

/** A change of words that must not overwrite what the editor hasn't seen: it holds the version it is made upon. */
export class Rewriting extends Change {
  /** @type {Line|null} the newest version shown to the editor, words included */ #seen = null;
  #etag = "";
  /** @type {Promise<void>} */ #reading = Promise.resolve();
  /** @type {{upon: Line, change: object}|null} a change sent, until its answer comes */ #sent = null;

  begin() {
    this.#read().catch(unlessOurs); // said when the editor sends; until then nothing is amiss
  }

  /** The newest version is another than the editor has seen. @param {Line} _newest @param {boolean} _first */
  learned(_newest, _first) {}

  /** What to say of a change that was made. @param {Line} _line @returns {string} */
  told(_line) {
    throw new Error("each change says what it did");
  }

  overtaken(line) {
    if (this.sending) return; // most likely our own change, come back by the feed before the answer to it
    if (line === null) {
      this.trouble("This line has left the board: it expired, or newer lines pushed it off. What you typed is kept.");
    } else if (line.status === "canceled") {
      this.trouble("This line was canceled meanwhile, for good. What you typed is kept here until you discard it.");
    } else if (line.version > (this.#seen?.version ?? this.line.version)) {
      this.#read().catch(unlessOurs);
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
      const { line, draft } = await this.api.correct(this.line, { ...change, ...this.confirmed }, this.#etag);
      this.#sent = null;
      return draft ? "It waits for a second person, among the drafts." : this.told(line);
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

  /** Take the newest version in, with the tag that proves to the server that it was seen. What is being read already
   * may be older than what we were told of: this comes after it. */
  #read() {
    this.#reading = this.#reading.catch(() => {}).then(() => this.#fetch());
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
