/** The questions the desk asks before it does what can't be taken back. Knows the API; knows no board. */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, sendKeys, showFaults, showRefused, showWarnings, ticked } from "./fields.js";
import { folded } from "./paste.js";
import { toTheSecond } from "./words.js";

/** @typedef {(string|Node)[]} Words a name among them is a `named` */

/**
 * @param {HTMLDialogElement} dialog @param {{title: string, more: Words, yes: Words, no: string}} words
 * @returns {Promise<"yes"|"no"|"">} the button pressed; Escape is ""
 */
export function ask(dialog, { title, more, yes, no }) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector(".more").replaceChildren(...more);
  dialog.querySelector("button[value=yes]").replaceChildren(...yes);
  dialog.querySelector("button[value=no]").textContent = no;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(/** @type {"yes"|"no"|""} */ (dialog.returnValue)), { once: true });
  });
}

/** Somebody's or something's name within a sentence: in its own direction, and never translated. @param {string} name */
export function named(name) {
  const place = document.createElement("bdi");
  place.translate = false;
  place.textContent = name;
  return place;
}

/** Cancels a line for good, after the editor has seen which one and said so. */
export class Cancelling {
  #dialog;
  #form;
  #look;
  #api;
  #sending = false;
  /** @type {import("./row.js").Row|null} */ #row = null;
  /** @type {(tone: string, words: string) => void} */ #say;

  /** @param {HTMLDialogElement} dialog @param {import("./api.js").Api} api @param {(tone: string, words: string) => void} say @param {AbortSignal} signal */
  constructor(dialog, api, say, signal) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#api = api;
    this.#say = say;
    sendKeys(this.#form, {}, signal);
    this.#look = oneLine(this.#note, null, signal);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    }, { signal });
    dialog.querySelector("[data-do=keep]").addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener("cancel", (event) => {
      if (this.#sending) event.preventDefault(); // too late to close as if nothing happened
    }, { signal });
    dialog.addEventListener("close", () => this.#row?.focus(), { signal });
  }

  /** @param {import("./row.js").Row} row */
  open(row) {
    this.#row = row;
    this.#form.reset();
    this.#look();
    clearFaults(this.#form);
    this.#trouble("");
    showWarnings(this.#warnings, []);
    row.quote(this.#dialog.querySelector("blockquote"));
    this.#dialog.showModal();
    this.#note.focus();
  }

  /** @returns {HTMLInputElement} */
  get #note() {
    return this.#form.querySelector("input");
  }

  /** @returns {HTMLElement} */
  get #warnings() {
    return this.#form.querySelector(".warnings");
  }

  async #submit() {
    if (this.#sending || showRefused(this.#form)) return;
    this.#sending = true;
    this.#form.setAttribute("aria-busy", "true");
    this.#trouble("");
    clearFaults(this.#form);
    try {
      const { line } = await this.#api.cancel(this.#row.line, folded(this.#note.value), ticked(this.#warnings));
      this.#dialog.close();
      this.#say("good", line
        ? `Canceled for good at ${toTheSecond(line.updated)}. The public no longer gets its words.`
        : "Withheld at once. A second person must agree to cancel it for good: it waits among the drafts.");
    } catch (problem) {
      if (problem instanceof Unheard) {
        this.#trouble(`${problem.message} It is not known whether the line was canceled. Trying again is safe.`);
      } else if (problem instanceof Refused && problem.warnings.length > 0) {
        showWarnings(this.#warnings, problem.warnings);
        this.#trouble("The line is withheld, without the note. Tick the warning to cancel it with this note, or change the note.");
      } else if (problem instanceof Refused) {
        const rest = showFaults(this.#form, problem.fields);
        if (rest || problem.fields.size === 0) this.#trouble(rest || problem.message);
        if (problem.status === 401) this.#dialog.close(); // the door must not stand behind a dialog
      } else {
        this.#trouble("This page itself failed. It is not known whether the line was canceled. Trying again is safe.");
        throw problem;
      }
    } finally {
      this.#sending = false;
      this.#form.removeAttribute("aria-busy");
    }
  }

  #trouble(words) {
    const place = /** @type {HTMLElement} */ (this.#form.querySelector(".trouble"));
    place.hidden = words === "";
    place.textContent = words;
  }
}
