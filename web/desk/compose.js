/**
 * The form for a new line. Knows the API and its own fields; knows no board.
 *
 * Rule 1: what was typed goes only when the server has said that it keeps it.
 * Rule 2: while nobody knows whether a line went out, it is locked, and only ever sent again under the same
 *         Idempotency-Key: it can't go out twice, and it can't change between two tries.
 */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, sendKeys, showFaults } from "./fields.js";
import { expiry, folded, span, toTheSecond } from "./words.js";

const SETTLED = [400, 413, 415, 422]; // refusals of the words themselves: an earlier try met the same
const RETRIES_AFTER = [1_000, 2_000, 4_000]; // ms; what a restart takes. Later, a person should decide

/** @typedef {import("./api.js").Channel} Channel @typedef {import("./api.js").Line} Line */
/** @typedef {{channel: Channel, body: string, key: string}} Parcel a line on its way, and how to send it again */

/** Says `published` (detail: the line) when the server keeps a new one. */
export class Composer extends EventTarget {
  #api;
  #form;
  /** @type {HTMLTextAreaElement} */ #text;
  /** @type {HTMLElement} */ #told;
  /** @type {HTMLElement} */ #unheard;
  /** @type {HTMLButtonElement} */ #publish;
  /** @type {HTMLElement} its place; while a line is in doubt the doubt's own buttons stand there */ #sendRow;
  #recount;
  /** @type {Channel|null} */ #channel = null;
  /** @type {Parcel|null} */ #parcel = null;
  /** @type {AbortController|null} the try that is under way; aborted, nobody waits for it any more */ #trying = null;
  /** @type {Line|null} the line just published, until the board has shown it */ #awaited = null;

  /** @param {HTMLFormElement} form @param {import("./api.js").Api} api @param {AbortSignal} signal */
  constructor(form, api, signal) {
    super();
    this.#api = api;
    this.#form = form;
    this.#text = form.querySelector("textarea");
    this.#told = form.querySelector("#told");
    this.#unheard = form.querySelector("#unheard");
    this.#publish = form.querySelector("#publish");
    this.#sendRow = form.querySelector(".send");
    this.#recount = oneLine(this.#text, form.querySelector(".count"), signal);
    sendKeys(form, {}, signal);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    }, { signal });
    form.addEventListener("input", () => clearFaults(form), { signal });
    form.querySelector("#again").addEventListener("click", () => this.#send(), { signal });
    form.querySelector("#afresh").addEventListener("click", () => this.#letGo(), { signal });
  }

  /** Whether something is typed, or on its way, that would be lost with the page. */
  get dirty() {
    return this.#parcel !== null || this.#value("text").trim() !== "" || this.#value("url") !== "" || this.#value("source") !== "";
  }

  /** Whether a line is on its way, or nobody knows whether it arrived. */
  get pending() {
    return this.#parcel !== null;
  }

  /** @param {Channel} channel where the next line goes; what is typed stays */
  aim(channel) {
    this.#channel = channel;
    this.#text.lang = channel.language;
    this.#text.dir = channel.direction;
    this.#publish.textContent = "Publish to ";
    const name = document.createElement("bdi");
    name.textContent = channel.title;
    this.#publish.append(name);
    this.#select("expires").options[0].textContent = `Default: ${channel.expires_in === null ? "no end" : span(channel.expires_in)}`;
    this.#tell("", "");
  }

  focus() {
    this.#text.focus();
  }

  /** Forget everything: the next editor at this screen finds an empty form. */
  clear() {
    this.#awaited = null;
    this.#release();
    this.#reset();
    this.#tell("", "");
  }

  /** The board shows this line: what was only promised is now seen. @param {Line} line @param {boolean} live */
  seen(line, live) {
    if (line.id !== this.#awaited?.id || !live) return;
    this.#awaited = null;
    this.#tell("good", `On air since ${toTheSecond(line.published)}.`, line);
  }

  #submit() {
    if (this.#trying || this.#channel === null) return;
    if (this.#parcel === null) {
      if (folded(this.#value("text")) === "") {
        showFaults(this.#form, new Map([["text", "Write the line first."]]));
        return;
      }
      this.#parcel = { channel: this.#channel, body: JSON.stringify(this.#draft()), key: crypto.randomUUID() };
    }
    this.#send();
  }

  #draft() {
    const draft = { text: this.#value("text"), urgency: this.#value("urgency") };
    const [url, source] = [this.#value("url").trim(), this.#value("source").trim()];
    return { ...draft, ...(url && { url }), ...(source && { source }), ...expiry(this.#value("expires")) };
  }

  async #send() {
    const parcel = this.#parcel;
    if (this.#trying || parcel === null) return;
    const trying = new AbortController();
    this.#trying = trying;
    this.#lock(true);
    this.#awaited = null;
    this.#tell("", this.#unheard.hidden ? "Publishing…" : "Trying again…");
    try {
      const line = await this.#deliver(parcel, trying.signal);
      if (trying.signal.aborted) this.#tell("warn", `The first try did go out, at ${toTheSecond(line.published)}:`, line);
      else this.#kept(line);
    } catch (problem) {
      if (!trying.signal.aborted) this.#failed(problem);
    } finally {
      if (this.#trying === trying) this.#trying = null;
    }
  }

  /** Sends until there is an answer, or none for so long that a person must decide. @param {Parcel} parcel @param {AbortSignal} signal */
  async #deliver({ channel, body, key }, signal) {
    for (const wait of RETRIES_AFTER) {
      try {
        return (await this.#api.publish(channel.slug, body, key)).line;
      } catch (problem) {
        if (signal.aborted || !(problem instanceof Unheard)) throw problem;
      }
      this.#doubt("Your words are kept. Trying again by itself…");
      await new Promise((resolve) => setTimeout(resolve, wait));
      signal.throwIfAborted();
    }
    return (await this.#api.publish(channel.slug, body, key)).line;
  }

  /** @param {Line} line */
  #kept(line) {
    this.#parcel = null;
    this.#lock(false);
    this.#reset();
    const here = this.#form.contains(document.activeElement) || document.activeElement === document.body;
    // On a phone the focus would bring up the keyboard, over the confirmation.
    if (here && matchMedia("(any-pointer: fine)").matches) this.#text.focus({ preventScroll: true });
    this.#awaited = line;
    this.#tell("good", `Published at ${toTheSecond(line.published)}. The board will show when it is on air.`, line);
    this.dispatchEvent(new CustomEvent("published", { detail: line }));
  }

  #failed(problem) {
    if (!(problem instanceof Refused)) {
      this.#doubt("The server does not answer. Your words are kept. Trying again is safe: "
        + "it is the same line, so it can’t go out twice.");
      this.#tell("", "");
      return;
    }
    if (!this.#unheard.hidden && !SETTLED.includes(problem.status)) {
      this.#doubt(`An earlier try may have gone out. This one was refused. ${problem.message}`);
      this.#tell("", "");
      return;
    }
    this.#release();
    const rest = showFaults(this.#form, problem.fields);
    if (problem.fields.size === 0) this.#publish.focus();
    this.#tell("bad", `Not published. ${rest || problem.message}`);
  }

  /** The words may change again; the next try is a new line. */
  #release() {
    this.#trying?.abort();
    this.#trying = null;
    this.#parcel = null;
    this.#lock(false);
  }

  #letGo() {
    this.#release();
    this.#tell("warn", "If the first try did reach the server, it stands on the board: look before you publish.");
    this.#text.focus();
  }

  #doubt(more) {
    const { activeElement } = document;
    this.#unheard.querySelector(".more").textContent = more;
    if (this.#unheard.hidden) {
      this.#unheard.hidden = false;
      if (this.#form.contains(activeElement)) /** @type {HTMLElement} */ (this.#unheard.querySelector("#again")).focus();
      this.#sendRow.hidden = true;
    }
    this.#unheard.scrollIntoView({ block: "nearest" });
  }

  #lock(locked) {
    if (!locked) {
      this.#unheard.hidden = true;
      this.#sendRow.hidden = false;
    }
    this.#form.toggleAttribute("data-locked", locked);
    this.#publish.setAttribute("aria-disabled", String(locked));
    for (const field of this.#form.querySelectorAll("textarea, input:not([type=radio])")) {
      /** @type {HTMLInputElement} */ (field).readOnly = locked;
    }
    for (const field of this.#form.querySelectorAll("input[type=radio], select")) {
      /** @type {HTMLInputElement} */ (field).disabled = locked; // these know no readOnly
    }
    this.dispatchEvent(new Event("pending"));
  }

  #reset() {
    this.#form.reset();
    clearFaults(this.#form);
    this.#recount();
  }

  /** @param {""|"good"|"warn"|"bad"} tone @param {string} words @param {Line} [line] quoted beneath */
  #tell(tone, words, line) {
    this.#told.dataset.tone = tone;
    this.#told.replaceChildren();
    if (!words) return;
    const saying = document.createElement("p");
    saying.textContent = words;
    this.#told.append(saying);
    if (line?.text !== undefined) {
      const quote = document.createElement("p");
      quote.className = "text";
      quote.lang = line.language;
      quote.dir = line.direction;
      quote.textContent = line.text;
      this.#told.append(quote);
    }
    this.#told.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} name @returns {string} */
  #value(name) {
    return /** @type {RadioNodeList} */ (this.#form.elements.namedItem(name)).value;
  }

  /** @param {string} name @returns {HTMLSelectElement} */
  #select(name) {
    return /** @type {HTMLSelectElement} */ (this.#form.elements.namedItem(name));
  }
}
