/** What all the desk's fields do alike: a line stays one line, is counted, and says what is wrong with it. */

import { characters, folded, measure } from "./words.js";

let named = 0; // ids for faults; templates are cloned, so their ids can't stand in the page's source

/**
 * A textarea that holds one line: Enter makes no line break, and pasted ones become spaces.
 * @param {HTMLTextAreaElement} area @param {Element} count where its length is told
 * @param {AbortSignal} [signal] @returns {() => void} counts again, for when the page itself has set the text
 */
export function oneLine(area, count, signal) {
  const tell = () => {
    const { word, tone } = measure(characters(folded(area.value)));
    count.textContent = word;
    /** @type {HTMLElement} */ (count).dataset.tone = tone;
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) event.preventDefault();
  }, { signal });
  area.addEventListener("input", (event) => {
    if (!(/** @type {InputEvent} */ (event).isComposing) && /[\r\n\u2028\u2029]/u.test(area.value)) {
      const caret = area.selectionEnd;
      const kept = area.value.slice(0, caret).replace(/[\r\n\u2028\u2029]+/gu, " ");
      area.value = kept + area.value.slice(caret).replace(/[\r\n\u2028\u2029]+/gu, " ");
      area.setSelectionRange(kept.length, kept.length);
    }
    tell();
  }, { signal });
  tell();
  return tell;
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
