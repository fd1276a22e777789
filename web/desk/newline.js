/**
 * The fields of the form for a new line: what is typed in them, and the line that it makes. Knows its channel; knows
 * no API and no storage.
 */

import { clearFaults, oneLine, sendKeys, showFaults, showRefused } from "./fields.js";
import { directionOf } from "./language.js";
import { folded } from "./paste.js";
import { expiry, span } from "./words.js";

const NAMES = ["text", "urgency", "url", "source", "expires", "language", "direction"];

/** @typedef {import("./api.js").Channel} Channel */

export class NewLine {
  #form;
  /** @type {HTMLTextAreaElement} */ #text;
  /** @type {(() => void)[]} */ #looks;
  /** @type {Channel|null} */ #channel = null;

  /** @param {HTMLFormElement} form @param {AbortSignal} signal */
  constructor(form, signal) {
    this.#form = form;
    this.#text = form.querySelector("textarea");
    this.#looks = [
      oneLine(this.#text, form.querySelector(".count"), signal),
      ...["url", "source"].map((name) => oneLine(this.#field(name), null, signal)),
    ];
    sendKeys(form, {}, signal);
    form.addEventListener("input", (event) => {
      if (event.target === this.#field("language")) this.#field("direction").value = this.#usualDirection();
      this.#align();
      clearFaults(form);
    }, { signal });
  }

  /** Whether something is typed that would be lost. */
  get typed() {
    return ["text", "url", "source"].some((name) => this.value(name).trim() !== "");
  }

  /** Whether there is no text yet. */
  get empty() {
    return folded(this.value("text")) === "";
  }

  /** Whether the focus is here, or nowhere. */
  get active() {
    return this.#form.contains(document.activeElement) || document.activeElement === document.body;
  }

  /** As typed, for keeping. @returns {Record<string, string>} */
  get values() {
    return Object.fromEntries(NAMES.map((name) => [name, this.value(name)]));
  }

  /** As the API takes it. */
  get draft() {
    const [text, url, source, language] = ["text", "url", "source", "language"].map((name) => folded(this.value(name)));
    const direction = this.value("direction");
    return {
      text, urgency: this.value("urgency"), ...(url && { url }), ...(source && { source }), ...expiry(this.value("expires")),
      ...(language && language !== this.#channel.language && { language }),
      ...(direction !== this.#usualDirection() && { direction }),
    };
  }

  /** @param {string} name @returns {string} */
  value(name) {
    return /** @type {RadioNodeList} */ (this.#form.elements.namedItem(name)).value;
  }

  /** The channel's language, direction and time on air are the defaults; what is typed stays. @param {Channel} channel */
  aim(channel) {
    const [language, direction] = [this.#field("language"), /** @type {any} */ (this.#field("direction"))];
    const chosen = this.#channel !== null && folded(language.value) !== this.#channel.language;
    this.#channel = channel;
    language.defaultValue = channel.language;
    for (const option of direction.options) option.defaultSelected = option.value === channel.direction;
    if (!chosen) [language.value, direction.value] = [channel.language, channel.direction];
    const [usual] = /** @type {any} */ (this.#field("expires")).options;
    usual.textContent = `Default: ${channel.expires_in === null ? "no end" : span(channel.expires_in)}`;
    this.#align();
  }

  /** @param {Record<string, string>} values as they were kept */
  fill(values) {
    for (const name of NAMES) {
      if (name in values) /** @type {RadioNodeList} */ (this.#form.elements.namedItem(name)).value = values[name];
    }
    this.#align();
    for (const look of this.#looks) look();
  }

  reset() {
    this.#form.reset();
    clearFaults(this.#form);
    if (this.#channel !== null) this.#align();
    for (const look of this.#looks) look();
  }

  /** @param {boolean} locked */
  lock(locked) {
    this.#form.toggleAttribute("data-locked", locked);
    for (const field of this.#form.querySelectorAll("textarea, input:not([type=radio])")) {
      /** @type {HTMLInputElement} */ (field).readOnly = locked;
    }
    for (const field of this.#form.querySelectorAll("input[type=radio], select")) {
      /** @type {HTMLInputElement} */ (field).disabled = locked; // these know no readOnly
    }
  }

  /** @param {FocusOptions} [how] */
  focus(how) {
    this.#text.focus(how);
  }

  /** Says each fault at its field. @param {Map<string, string>} faults @returns {string} what belongs to no field */
  refuse(faults) {
    return showFaults(this.#form, faults);
  }

  /** Whether there is a character in it that the server refuses; then it is shown. */
  showRefused() {
    return showRefused(this.#form);
  }

  /** The direction that the server gives a line in this language by itself. */
  #usualDirection() {
    const language = folded(this.value("language"));
    return language === "" || language === this.#channel.language ? this.#channel.direction : directionOf(language);
  }

  /** What is typed is read as what it will be. */
  #align() {
    this.#text.lang = folded(this.value("language")) || this.#channel.language;
    this.#text.dir = this.value("direction");
  }

  /** @param {string} name @returns {HTMLInputElement} */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }
}
