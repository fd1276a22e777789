/** What all the desk's fields do alike: words stay one line, are cleaned as they are pasted, and say what is wrong. */

import { cleaned, folded, listed, refused } from "./paste.js";
import { characters, measure } from "./words.js";

const AROUND = 16; // characters shown on each side of one that is refused
const SHOWN_MAX = 3; // refused ones shown; what is left is shown when they are gone

let named = 0; // ids for faults; templates are cloned, so their ids can't stand in the page's source

/**
 * A field for one line of words: Enter makes no line break, pasted ones become spaces, and beneath it stands what was
 * taken out of what was pasted, and what the server will refuse.
 * @param {HTMLInputElement|HTMLTextAreaElement} field in a `[data-field]`
 * @param {Element|null} count where its length is shown @param {AbortSignal} [signal]
 * @returns {() => void} looks again, for when the page itself has set the words
 */
export function oneLine(field, count, signal) {
  const findings = new Findings(field);
  const tell = () => {
    findings.refuse();
    if (count === null) return;
    const { word, tone } = measure(characters(folded(field.value)));
    count.textContent = word;
    /** @type {HTMLElement} */ (count).dataset.tone = tone;
  };
  const clean = (/** @type {boolean} */ typing) => {
    const { text, taken } = cleaned(field.value, { typing });
    if (text !== field.value) {
      const kept = cleaned(field.value.slice(0, field.selectionEnd ?? undefined), { typing: true }).text.length;
      const focused = field === document.activeElement;
      field.value = text;
      if (focused && kept <= text.length) field.setSelectionRange(kept, kept);
    }
    if (taken.size > 0 || text === "") findings.take(taken);
    tell();
  };
  field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (field instanceof HTMLTextAreaElement && event.key === "Enter" && !event.isComposing) event.preventDefault();
  }, { signal });
  field.addEventListener("input", (/** @type {InputEvent} */ event) => {
    if (!event.isComposing) clean(event.inputType === "insertText");
  }, { signal });
  field.addEventListener("compositionend", () => clean(true), { signal });
  field.addEventListener("change", () => clean(false), { signal }); // it is left: what is open now stays open
  field.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    if (field instanceof HTMLTextAreaElement || field.readOnly || !/[\r\n]/u.test(pasted.trim())) return;
    event.preventDefault(); // an input would join the words around a line break
    field.setRangeText(pasted.trim().replace(/[\r\n]+/gu, " "), field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
  }, { signal });
  tell();
  return () => {
    findings.take(new Map());
    tell();
  };
}

/** What stands beneath a field about the words in it. */
class Findings {
  #field;
  #taken = document.createElement("p");
  #refused = document.createElement("div");

  /** @param {HTMLInputElement|HTMLTextAreaElement} field */
  constructor(field) {
    this.#field = field;
    this.#taken.className = "taken";
    this.#taken.setAttribute("role", "status");
    this.#refused.className = "refused";
    field.closest("[data-field]").append(this.#taken, this.#refused);
  }

  /** @param {Map<string, number>} taken */
  take(taken) {
    this.#taken.textContent = taken.size > 0 ? `Invisible, taken out: ${listed(taken)}.` : "";
  }

  refuse() {
    const found = refused(this.#field.value);
    this.#refused.replaceChildren(...found.slice(0, SHOWN_MAX).map((each) => this.#place(each)));
    if (found.length > 0) this.#refused.append(this.#remedy(found.length));
  }

  /** @param {{at: number, length: number, name: string}} found */
  #place({ at, length, name }) {
    const { value } = this.#field;
    const place = document.createElement("p");
    const mark = document.createElement("mark");
    mark.textContent = name;
    place.translate = false;
    place.dir = "auto";
    place.append(value.slice(Math.max(0, at - AROUND), at), mark, value.slice(at + length, at + length + AROUND));
    return place;
  }

  /** @param {number} count */
  #remedy(count) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = count > 1 ? `Take out these ${count}` : "Take it out";
    button.addEventListener("click", () => {
      const field = this.#field;
      if (field.readOnly) return;
      const found = refused(field.value);
      field.value = found.reduceRight((text, { at, length }) => text.slice(0, at) + text.slice(at + length), field.value);
      field.focus();
      field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "deleteContent" }));
    });
    return button;
  }
}

/**
 * Whether words stand in the form that the server will refuse; then this is said at their fields.
 * @param {HTMLFormElement} form
 */
export function showRefused(form) {
  const faults = new Map();
  /** @type {{field: HTMLTextAreaElement, at: number, length: number}|null} */ let first = null;
  for (const field of /** @type {NodeListOf<HTMLTextAreaElement>} */ (form.querySelectorAll("textarea, input:not([type=radio], [type=checkbox])"))) {
    const [found] = refused(field.value);
    const place = /** @type {HTMLElement|null} */ (field.closest("[data-field]"));
    if (!found || !place) continue;
    faults.set(place.dataset.field, `There is a character in it that can’t be published (${found.name}). It is marked below.`);
    first ??= { field, ...found };
  }
  if (first === null) return false;
  showFaults(form, faults);
  first.field.setSelectionRange(first.at, first.at + first.length);
  return true;
}

/**
 * Ctrl+Enter (or ⌘+Enter) sends the form from any of its fields; Enter alone sends it from a button only.
 * @param {HTMLFormElement} form @param {{enter?: boolean}} how `enter`: Enter in a field sends it too
 * @param {AbortSignal} [signal]
 */
export function sendKeys(form, { enter = false } = {}, signal) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.repeat) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (!enter && event.target instanceof HTMLInputElement) {
      event.preventDefault();
    }
  }, { signal });
}

/**
 * Says each fault at its field and goes to the first. Gives what belongs to no field of this form, or "".
 * @param {HTMLFormElement} form @param {Map<string, string>} faults by the field's name
 */
export function showFaults(form, faults) {
  const homeless = [];
  /** @type {HTMLElement|null} */ let first = null;
  for (const [name, detail] of faults) {
    const field = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    const fault = /** @type {HTMLElement|null} */ (field?.querySelector(".fault"));
    if (!field || !fault) {
      homeless.push(`${name}: ${detail}`);
      continue;
    }
    fault.id ||= `fault-${++named}`;
    fault.textContent = detail;
    fault.hidden = false;
    const input = /** @type {HTMLElement} */ (field.querySelector("input, textarea, select"));
    input.setAttribute("aria-invalid", "true");
    describe(input, fault.id);
    first ??= input;
  }
  first?.focus();
  return homeless.join(" ");
}

/** @param {HTMLFormElement} form */
export function clearFaults(form) {
  for (const fault of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll(".fault"))) {
    fault.hidden = true;
    fault.textContent = "";
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function describe(input, id) {
  const ids = new Set((input.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean));
  input.setAttribute("aria-describedby", [...ids.add(id)].join(" "));
}

/**
 * Each warning with a box to tick: it is confirmed by its own name.
 * @param {HTMLElement} place @param {{code: string, detail: string, blocking: boolean}[]} warnings
 */
export function showWarnings(place, warnings) {
  place.replaceChildren(...warnings.filter(({ blocking }) => blocking).map(({ code, detail }) => {
    const label = document.createElement("label");
    label.className = "tick";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.name = "confirm";
    box.value = code;
    const words = document.createElement("span");
    words.textContent = `${detail} Publish it all the same.`;
    label.append(box, words);
    return label;
  }));
}

/** The warnings that are ticked there, as the API takes them. @param {HTMLElement} place @returns {{confirm?: string[]}} */
export function ticked(place) {
  const confirm = [...place.querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
  return confirm.length > 0 ? { confirm } : {};
}
