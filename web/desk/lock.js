/** The desk's lock: whether nothing goes out now, and who may change that. Knows the API and its own places on the page. */

import { Refused, Unheard } from "./api.js";
import { clearFaults, oneLine, sendKeys, showFaults, showRefused } from "./fields.js";
import { folded } from "./paste.js";
import { toTheMinute } from "./words.js";

const EVERY = 1_000; // ms; every desk shows a lock within a second

/** @typedef {import("./api.js").Lock} LockInfo */

/** Says `lock` (detail: the channel's LockInfo, or null) when it changes. */
export class DeskLock extends EventTarget {
  #api;
  /** @type {HTMLElement} */ #banner;
  /** @type {HTMLButtonElement} */ #button;
  /** @type {HTMLDialogElement} */ #dialog;
  #look;
  #say;
  /** @type {LockInfo[]} */ #locks = [];
  #etag = "";
  #channel = "";
  #shown = ""; // what the banner says
  #may = false;
  #watching = false;
  #asking = false;
  #sending = false;

  /** @param {import("./api.js").Api} api @param {(tone: string, words: string) => void} say @param {AbortSignal} signal */
  constructor(api, say, signal) {
    super();
    this.#api = api;
    this.#say = say;
    this.#banner = document.querySelector("#lock");
    this.#button = document.querySelector("#lock-desk");
    this.#dialog = document.querySelector("#locking");
    const form = this.#form;
    this.#look = oneLine(form.querySelector("input[name=reason]"), null, signal);
    sendKeys(form, { enter: true }, signal);
    this.#button.addEventListener("click", () => this.#open(), { signal });
    this.#banner.querySelector("button").addEventListener("click", () => this.#unlock(), { signal });
    this.#dialog.querySelector("[data-do=keep]").addEventListener("click", () => this.#dialog.close(), { signal });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#lock();
    }, { signal });
    const timer = setInterval(() => this.#ask(), EVERY);
    signal.addEventListener("abort", () => clearInterval(timer));
    document.addEventListener("visibilitychange", () => this.#ask(), { signal });
  }

  /** @param {string} channel @param {boolean} may whether this person may lock and unlock */
  watch(channel, may) {
    this.#channel = channel;
    this.#may = may;
    this.#watching = true;
    this.#button.hidden = !may;
    this.#show();
    this.#ask();
  }

  leave() {
    this.#watching = false;
    this.#take([], "");
  }

  get #form() {
    return this.#dialog.querySelector("form");
  }

  async #ask() {
    if (!this.#watching || this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      const answer = await this.#api.locks(this.#etag);
      if (answer !== null && this.#watching) this.#take(answer.locks, answer.etag);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem; // what is known still stands
    } finally {
      this.#asking = false;
    }
  }

  /** @param {LockInfo[]} locks @param {string} etag */
  #take(locks, etag) {
    this.#locks = locks;
    this.#etag = etag;
    this.#show();
  }

  #show() {
    const lock = this.#locks.find(({ channel }) => channel === this.#channel) ?? null;
    const words = lock === null ? "" : `The desk is locked by ${lock.by.name} since ${toTheMinute(lock.at)}: ${lock.reason}`;
    this.#banner.hidden = lock === null;
    /** @type {HTMLElement} */ (this.#banner.querySelector("button")).hidden = !this.#may;
    if (this.#shown === words) return;
    this.#shown = words;
    this.#banner.querySelector(".words").textContent = words;
    this.dispatchEvent(new CustomEvent("lock", { detail: lock }));
  }

  #open() {
    this.#form.reset();
    this.#look();
    clearFaults(this.#form);
    this.#trouble("");
    this.#dialog.showModal();
    /** @type {HTMLElement} */ (this.#form.querySelector("input[name=reason]")).focus();
  }

  async #lock() {
    const form = this.#form;
    if (this.#sending || showRefused(form)) return;
    const reason = folded(/** @type {HTMLInputElement} */ (form.elements.namedItem("reason")).value);
    const all = /** @type {RadioNodeList} */ (form.elements.namedItem("scope")).value === "all";
    this.#sending = true;
    try {
      const { locks, etag } = await this.#api.lock(reason, all ? null : [this.#channel]);
      this.#dialog.close();
      this.#take(locks, etag);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      const rest = problem instanceof Refused ? showFaults(form, problem.fields) : "";
      if (!(problem instanceof Refused) || problem.fields.size === 0) this.#trouble(rest || problem.message);
    } finally {
      this.#sending = false;
    }
  }

  async #unlock() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      const { locks, etag } = await this.#api.unlock([this.#channel]);
      this.#take(locks, etag);
      this.#say("good", "The desk is unlocked.");
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      this.#say("bad", problem instanceof Refused ? problem.detail : problem.message);
    } finally {
      this.#sending = false;
    }
  }

  /** @param {string} words */
  #trouble(words) {
    const place = /** @type {HTMLElement} */ (this.#form.querySelector(".trouble"));
    place.hidden = words === "";
    place.textContent = words;
  }
}
