/**
 * What is about to be done with one draft: its fields, its warnings, and what went wrong. Knows the API and its own form.
 *
 * Rule: nobody agrees to words that they haven't seen. What is sent names the revision that stood in the row.
 */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, showFaults, showWarnings, ticked } from "./fields.js";
import { folded } from "./paste.js";

/** @typedef {import("./api.js").Draft} Draft */

export const WORDS = {
  edit: "Edit", submit: "Submit", approve: "Approve", return: "Return…", publish: "Publish now", discard: "Discard", recall: "Recall",
};

/** What is about to be done with a draft: its fields, if it has some, and what is in the way. */
export class Decision {
  deed;
  #row;
  #api;
  #done;
  /** @type {HTMLFormElement} */ #form;
  #sending = false;
  #listening = new AbortController();
  /** @type {Draft} as it was when the button was pressed: nobody agrees to words that they haven't seen */ #seen;

  /** @param {{draft: Draft, element: HTMLElement}} row @param {keyof typeof WORDS} deed @param {import("./api.js").Api} api @param {() => void} done */
  constructor(row, deed, api, done) {
    this.deed = deed;
    this.#row = row;
    this.#api = api;
    this.#done = done;
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector("template#decide"));
    this.#form = /** @type {any} */ (template.content.cloneNode(true)).firstElementChild;
    for (const part of this.#form.querySelectorAll("[data-deed]")) {
      if (/** @type {HTMLElement} */ (part).dataset.deed !== deed) part.remove();
    }
    this.#form.querySelector("button[type=submit]").textContent = deed === "edit" ? "Save" : WORDS[deed].replace("…", "");
    const { signal } = this.#listening;
    for (const field of this.#form.querySelectorAll("textarea, input:not([type=checkbox])")) {
      oneLine(/** @type {HTMLInputElement} */ (field), null, signal);
    }
    const text = /** @type {HTMLTextAreaElement|null} */ (this.#form.querySelector("textarea"));
    if (text !== null) text.value = row.draft.text ?? "";
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    }, { signal });
    this.#form.querySelector("[data-do=close]").addEventListener("click", () => this.close(), { signal });
    this.#seen = row.draft;
    const panel = /** @type {HTMLElement} */ (row.element.querySelector(".panel"));
    panel.replaceChildren(this.#form);
    panel.hidden = ["submit", "publish", "discard", "recall"].includes(deed);
  }

  get dirty() {
    const text = /** @type {HTMLTextAreaElement|null} */ (this.#form.querySelector("textarea"));
    return text !== null && folded(text.value) !== (this.#seen.text ?? "");
  }

  focus() {
    /** @type {HTMLElement} */ (this.#form.querySelector("textarea, input, button")).focus();
  }

  close() {
    if (this.#listening.signal.aborted) return;
    this.#listening.abort();
    const panel = /** @type {HTMLElement} */ (this.#row.element.querySelector(".panel"));
    if (!panel.contains(this.#form)) return;
    const within = panel.contains(document.activeElement);
    panel.replaceChildren();
    panel.hidden = true;
    if (within) /** @type {HTMLElement} */ (this.#row.element.querySelector("article")).focus();
  }

  async send() {
    if (this.#sending) return;
    this.#sending = true;
    this.#form.setAttribute("aria-busy", "true");
    this.#trouble("");
    clearFaults(this.#form);
    try {
      await this.#send();
      this.close();
      this.#done();
    } catch (problem) {
      this.#failed(problem);
    } finally {
      this.#sending = false;
      this.#form.removeAttribute("aria-busy");
    }
  }

  #send() {
    const draft = this.#seen;
    const confirmed = ticked(this.#form.querySelector(".warnings"));
    switch (this.deed) {
      case "discard":
      case "recall":
        return this.#api.recall(draft);
      case "edit":
        return this.#api.edit(draft, { ...confirmed, text: this.#value("text"), ...(draft.state === "conflict" && { version: this.#newest }) });
      case "approve": {
        const [sources, checked_by] = [this.#value("sources"), this.#value("checked_by")];
        return this.#api.decide(draft, "approve", { ...confirmed, ...(sources && { sources }), ...(checked_by && { checked_by }) });
      }
      case "return":
        return this.#api.decide(draft, "return", { reason: this.#value("reason") });
      default:
        return this.#api.decide(draft, this.deed, confirmed);
    }
  }

  /** The version that the server named, when it refused an edit made against an older one. */
  #newest = 0;

  #failed(problem) {
    if (!(problem instanceof Refused || problem instanceof Unheard)) {
      this.#trouble("This page itself failed. It is not known whether it was done. Trying again is safe.");
      throw problem;
    }
    const panel = /** @type {HTMLElement} */ (this.#row.element.querySelector(".panel"));
    panel.hidden = false;
    if (problem instanceof Unheard) {
      this.#trouble(`${problem.message} It is not known whether it was done. Trying again is safe.`);
    } else if (problem.warnings.length > 0) {
      showWarnings(this.#form.querySelector(".warnings"), problem.warnings);
      this.#trouble("Look again before this goes out. Tick each warning that may be passed over.");
    } else {
      const version = /"version": (\d+)/u.exec(problem.detail);
      if (version !== null) this.#newest = Number(version[1]);
      if (problem.status === 412) this.#seen = this.#row.draft; // it is shown by now; the next press is for what stands there
      const rest = showFaults(this.#form, problem.fields);
      if (version !== null) {
        this.#trouble(`Its line has changed since: look at it on the board. ${this.deed === "edit"
          ? `“Save” puts your words on its version ${version[1]}.`
          : "Then edit this draft."}`);
      } else if (problem.fields.size === 0) this.#trouble(problem.detail);
      else if (rest) this.#trouble(rest);
    }
    /** @type {HTMLElement} */ (this.#form.querySelector(".warnings input, button[type=submit]")).focus();
  }

  /** @param {string} name */
  #value(name) {
    return folded(/** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name)).value);
  }

  /** @param {string} words */
  #trouble(words) {
    const place = /** @type {HTMLElement} */ (this.#form.querySelector(".trouble"));
    place.hidden = words === "";
    place.textContent = words;
  }
}
