/**
 * The seconds in which a line that was published can still be recalled: a countdown, and one key. Knows the API and its
 * own place on the page; knows no form.
 */

import { Refused, Unheard } from "./api.js";

const TICK = 100; // ms between two looks at the clock
const LOOK = 250; // ms between two questions whether it has gone out
const LOOK_FOR = 10_000; // ms of them; then the board has the word

/** @typedef {import("./api.js").Draft} Draft */

/**
 * Says `out` (detail: the Draft) when it has gone out, `recalled` when it never will, `unsure` (detail: words) when
 * nobody can say. Each ends it.
 */
export class Hold extends EventTarget {
  #api;
  #place;
  /** @type {Draft} */ #draft;
  #ends = 0; // ms of this page's clock
  #recalling = false;
  #over = new AbortController();

  /** @param {import("./api.js").Api} api @param {HTMLElement} place @param {Draft} draft */
  constructor(api, place, draft) {
    super();
    this.#api = api;
    this.#place = place;
    this.#draft = draft;
    this.#ends = performance.now() + draft.due.in * 1000;
    const { signal } = this.#over;
    place.hidden = false;
    place.querySelector("button").addEventListener("click", () => this.recall(), { signal });
    document.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    const timer = setInterval(() => this.#tick(), TICK);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.#tick();
  }

  get draft() {
    return this.#draft;
  }

  async recall() {
    if (this.#recalling || this.#over.signal.aborted) return;
    this.#recalling = true;
    this.#say("Recalling…");
    try {
      await this.#api.recall(this.#draft);
      this.#end("recalled");
    } catch (problem) {
      if (problem instanceof Refused && problem.status === 409) this.#look();
      else if (problem instanceof Unheard) {
        this.#recalling = false;
        this.#say(`${problem.message} It is not known whether it was recalled. Try again.`);
      } else if (problem instanceof Refused) this.#end("unsure", problem.message);
      else throw problem;
    }
  }

  /** Nobody watches any more. */
  close() {
    this.#over.abort();
    this.#place.hidden = true;
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const typing = target.closest("input, textarea, select, [contenteditable]") && !(/** @type {any} */ (target).readOnly);
    if (event.key !== "Escape" && (event.key.toLowerCase() !== "u" || typing)) return;
    if (event.key === "Escape" && document.querySelector("dialog[open]")) return;
    event.preventDefault();
    this.recall();
  }

  #tick() {
    if (this.#recalling) return;
    const left = (this.#ends - performance.now()) / 1000;
    if (left > 0) {
      this.#say(`Goes out in ${Math.ceil(left)} s`);
      return;
    }
    this.#recalling = true;
    this.#say("Going out…");
    this.#look();
  }

  /** Until it is known what became of it. */
  async #look() {
    const until = performance.now() + LOOK_FOR;
    while (!this.#over.signal.aborted) {
      try {
        const { draft } = await this.#api.draft(this.#draft.channel, this.#draft.id);
        if (draft.state === "released") {
          this.#end("out", draft);
          return;
        }
        if (draft.state === "discarded") {
          this.#end("recalled");
          return;
        }
        if (draft.state !== "scheduled") {
          this.#end("unsure", `It did not go out: it is ${draft.state}. It stands among the drafts.`);
          return;
        }
      } catch (problem) {
        if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      }
      if (performance.now() > until) {
        this.#end("unsure", "It waits among the drafts, and goes out as soon as it can.");
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  /** @param {string} word @param {unknown} [detail] */
  #end(word, detail) {
    if (this.#over.signal.aborted) return;
    this.close();
    this.dispatchEvent(new CustomEvent(word, { detail }));
  }

  /** @param {string} words */
  #say(words) {
    const place = this.#place.querySelector(".words");
    if (place.textContent !== words) place.textContent = words;
  }
}
