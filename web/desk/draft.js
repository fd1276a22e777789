/**
 * What was typed and is not published, kept in this browser: it survives a reload or a crash. Knows the browser's
 * storage; knows no page.
 *
 * Rule 1: a draft is its editor's. When another signs in, it is removed unread.
 * Rule 2: it goes when its line is published or discarded, when its editor signs out, and after a shift.
 */

const PREFIX = "ticker-desk-draft:";
const KEPT_FOR = 12 * 3_600_000; // ms: a shift. Less than the day for which the server remembers an Idempotency-Key

/**
 * @typedef {{owner: string, at: number, fields: Record<string, string>, parcel?: {channel: string, body: string, key: string},
 *   line?: import("./api.js").Line}} Draft `parcel`: it was sent, and no answer was heard yet; `line`: what it corrects
 */

/** Says `gone` (detail: the Draft) when another tab has published or discarded it. */
export class Drafts extends EventTarget {
  #owner = "";

  /** @param {AbortSignal} signal */
  constructor(signal) {
    super();
    addEventListener("storage", ({ key, oldValue, newValue }) => {
      const draft = key?.startsWith(PREFIX) && newValue === null ? read(oldValue) : null;
      if (draft !== null) this.dispatchEvent(new CustomEvent("gone", { detail: draft }));
    }, { signal });
  }

  /** Whose drafts these are from now on; what isn't theirs, or is too old, is removed. @param {string} owner */
  belongTo(owner) {
    this.#owner = owner;
    for (const name of names()) {
      const draft = read(localStorage.getItem(name));
      if (draft === null || draft.owner !== owner || Date.now() - draft.at > KEPT_FOR) localStorage.removeItem(name);
    }
  }

  /** @param {string} slot @param {Pick<Draft, "fields"|"parcel"|"line">} draft @returns {boolean} whether it is kept */
  keep(slot, draft) {
    try {
      localStorage.setItem(PREFIX + slot, JSON.stringify({ owner: this.#owner, at: Date.now(), ...draft }));
      return true;
    } catch {
      return false; // no storage in this browser, or it is full: the page says so
    }
  }

  /** @param {string} slot @returns {Draft|null} */
  find(slot) {
    try {
      return read(localStorage.getItem(PREFIX + slot));
    } catch {
      return null; // no storage in this browser
    }
  }

  /** @param {string} slot */
  drop(slot) {
    if (this.find(slot) !== null) localStorage.removeItem(PREFIX + slot);
  }

  clear() {
    for (const name of names()) localStorage.removeItem(name);
  }
}

/** @returns {string[]} */
function names() {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  } catch {
    return []; // no storage in this browser
  }
}

/** @param {string|null} kept @returns {Draft|null} */
function read(kept) {
  try {
    const draft = JSON.parse(kept ?? "null");
    return typeof draft?.owner === "string" && typeof draft.fields === "object" ? draft : null;
  } catch {
    return null; // not ours, or broken
  }
}
