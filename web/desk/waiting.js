/**
 * The drafts of one channel: what is not public yet, by state, and what this person may do with it. Knows the API and
 * its own section of the page.
 *
 * Rule: it shows what the server has, asked again every second; what is typed in a row stays while the row is there.
 */

import { Refused, Unheard } from "./api.js";
import { Decision, WORDS } from "./decision.js";
import { countdown, inNewsroom } from "./when.js";
import { toTheMinute, URGENCIES } from "./words.js";

const EVERY = 1_000; // ms
const TICK = 500; // ms; the countdowns
const SAID = 12_000; // ms for which a message stands

/** @typedef {import("./api.js").Draft} Draft @typedef {import("./api.js").Session} Session @typedef {import("./api.js").Channel} Channel */

const ORDER = ["conflict", "missed", "submitted", "scheduled", "open"];
const STATES = {
  open: "Draft", submitted: "Submitted", scheduled: "Scheduled", missed: "Missed", conflict: "Conflict",
  released: "Released", discarded: "Discarded",
};
const KINDS = { publish: "", correct: "Correction", cancel: "Cancellation", release: "Back on air" };
const DONE = {
  edit: "Saved.", submit: "Submitted.", approve: "Approved.", return: "Returned.", publish: "Published.", discard: "Discarded.", recall: "Recalled: it won’t go out.",
};

export class Waiting extends EventTarget {
  #section;
  /** @type {HTMLElement} */ #list;
  #api;
  #announce;
  /** @type {Channel|null} */ #channel = null;
  /** @type {Session|null} */ #session = null;
  #etag = "";
  #asking = false;
  #first = true; // nothing was shown of this channel yet
  #silence = 0;
  /** @type {Map<string, Waits>} */ #rows = new Map();

  /**
   * @param {HTMLElement} section @param {import("./api.js").Api} api
   * @param {(words: string) => void} announce @param {AbortSignal} signal
   */
  constructor(section, api, announce, signal) {
    super();
    this.#section = section;
    this.#list = section.querySelector("ul");
    this.#api = api;
    this.#announce = announce;
    const timers = [setInterval(() => this.#ask(), EVERY), setInterval(() => this.#tick(), TICK)];
    signal.addEventListener("abort", () => timers.forEach(clearInterval));
    document.addEventListener("visibilitychange", () => this.#ask(), { signal });
  }

  /** Whether something is typed here that would be lost. */
  get dirty() {
    return [...this.#rows.values()].some((row) => row.dirty);
  }

  /** @param {Channel} channel @param {Session} session */
  watch(channel, session) {
    this.leave();
    this.#channel = channel;
    this.#session = session;
    this.#ask();
  }

  leave() {
    this.#channel = null;
    this.#etag = "";
    this.#first = true;
    for (const row of this.#rows.values()) row.close();
    this.#rows.clear();
    this.#list.replaceChildren();
    this.say("", "");
    this.#count([]);
  }

  /** Look now: something was just sent. */
  look() {
    this.#ask();
  }

  /** @param {string} tone @param {string} words */
  say(tone, words) {
    const said = /** @type {HTMLElement} */ (this.#section.querySelector(".said"));
    said.dataset.tone = tone;
    said.textContent = words;
    clearTimeout(this.#silence);
    if (words) this.#silence = setTimeout(() => this.say("", ""), SAID);
  }

  async #ask() {
    const channel = this.#channel;
    if (channel === null || this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      const answer = await this.#api.drafts(channel.slug, this.#etag);
      if (answer !== null && channel === this.#channel) {
        this.#etag = answer.etag;
        this.#show(answer.drafts);
      }
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem; // the board says that we are offline
    } finally {
      this.#asking = false;
    }
  }

  /** @param {Draft[]} drafts */
  #show(drafts) {
    const sorted = [...drafts].sort((a, b) => rank(a) - rank(b) || (a.publish_at ?? "").localeCompare(b.publish_at ?? ""));
    const ids = new Set(sorted.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      const focused = row.element.contains(document.activeElement);
      row.close();
      row.element.remove();
      this.#rows.delete(id);
      if (focused) /** @type {HTMLElement} */ (this.#section.querySelector("h2")).focus();
    }
    let place = this.#list.firstElementChild;
    const held = document.activeElement;
    for (const draft of sorted) {
      const before = this.#rows.get(draft.id);
      if (before?.draft.state !== draft.state) this.#tell(draft, before === undefined);
      const row = before ?? new Waits(draft, this.#session, this.#api, this);
      this.#rows.set(draft.id, row);
      row.show(draft);
      if (place === row.element) place = place.nextElementSibling;
      else this.#list.insertBefore(row.element, place);
    }
    if (held !== document.activeElement && held?.isConnected) /** @type {HTMLElement} */ (held).focus();
    this.#first = false;
    this.#count(sorted);
    this.#tick();
  }

  /** What must not be overlooked is said, once. @param {Draft} draft @param {boolean} isNew */
  #tell(draft, isNew) {
    if (this.#first) return;
    const words = draft.text ?? KINDS[draft.kind];
    if (draft.state === "missed") this.#alarm(`A draft was due and did not go out: ${words}`);
    else if (draft.state === "conflict") this.#alarm(`A draft can’t go out, because its line has changed: ${words}`);
    else if (draft.state === "submitted" && isNew && this.#session.role !== "contributor") this.#announce(`A draft waits for a second person: ${words}`);
  }

  /** @param {string} words */
  #alarm(words) {
    this.say("bad", words);
    this.#announce(words);
  }

  /** @param {Draft[]} drafts */
  #count(drafts) {
    const counts = ORDER.map((state) => [state, drafts.filter((draft) => draft.state === state).length]).filter(([, count]) => count);
    this.#section.querySelector("#waiting-tally").textContent = counts.map(([state, count]) => `${count} ${STATES[state].toLowerCase()}`).join(" · ");
    /** @type {HTMLElement} */ (this.#section.querySelector("#waiting-nothing")).hidden = drafts.length > 0;
  }

  #tick() {
    for (const row of this.#rows.values()) row.tick();
  }
}

/** @param {Draft} draft */
function rank(draft) {
  return ORDER.indexOf(draft.state);
}

/** One draft in the list. */
class Waits {
  /** @type {HTMLElement} */ element;
  /** @type {Draft} */ draft;
  #session;
  #api;
  #list;
  #seenAt = 0; // ms of this page's clock, when its countdown was known
  /** @type {Decision|null} */ #decision = null;

  /** @param {Draft} draft @param {Session} session @param {import("./api.js").Api} api @param {Waiting} list */
  constructor(draft, session, api, list) {
    this.#session = session;
    this.#api = api;
    this.#list = list;
    const template = /** @type {HTMLTemplateElement} */ (document.querySelector("template#waits"));
    this.element = /** @type {any} */ (template.content.cloneNode(true)).firstElementChild;
  }

  get dirty() {
    return this.#decision?.dirty ?? false;
  }

  /** @param {Draft} draft */
  show(draft) {
    const changed = this.draft === undefined || JSON.stringify({ ...this.draft, due: null }) !== JSON.stringify({ ...draft, due: null });
    this.draft = draft;
    this.#seenAt = performance.now();
    if (!changed) return;
    const { dataset } = this.element;
    dataset.state = draft.state;
    dataset.id = draft.id;
    dataset.urgency = draft.urgency ?? "";
    this.#tell(".state", STATES[draft.state]);
    this.#tell(".kind", [KINDS[draft.kind], draft.refile && "Refile", draft.urgency && URGENCIES[draft.urgency]].filter(Boolean).join(" · "));
    this.#tell(".by", `by ${draft.by.name}${draft.approved_by ? `, approved by ${draft.approved_by.name}` : ""}, ${toTheMinute(draft.updated)}`);
    this.#tell(".text", draft.text ?? (draft.kind === "cancel" ? "Cancel the line for good" : draft.kind === "release" ? "Put the line back on the air" : "Changes how the line is shown"));
    this.#tell(".remark", draft.note_to_desk ?? "");
    const last = draft.history.findLast(({ did }) => did === "returned" || did === "conflict");
    const why = last?.note && (draft.state === "open" || draft.state === "conflict") ? last.note : "";
    this.#tell(".why", why && (last.by ? `Returned by ${last.by.name}: ${why}` : why));
    this.#offer();
    this.tick();
  }

  /** The countdown. */
  tick() {
    const { due } = this.draft;
    if (due === null) {
      this.#tell(".due", "");
      return;
    }
    const left = due.in - (performance.now() - this.#seenAt) / 1000;
    const passed = this.draft.state === "scheduled" ? "now" : "its time has passed";
    const at = inNewsroom(this.draft.publish_at, due.timezone);
    const here = inNewsroom(this.draft.publish_at, Intl.DateTimeFormat().resolvedOptions().timeZone);
    this.#tell(".due", `${at} (${due.timezone}), ${left > 0 ? `in ${countdown(left)}` : passed}${here === at ? "" : `; here ${here}`}`);
  }

  /** Forget what is typed. */
  close() {
    this.#decision?.close();
    this.#decision = null;
  }

  /** What may be done with it by this person. @returns {(keyof typeof WORDS)[]} */
  #deeds() {
    const editor = this.#session.role !== "contributor";
    const mine = this.draft.history.some(({ did, by }) => ["created", "edited", "submitted"].includes(did) && by?.id === this.#session.key);
    const edit = /** @type {(keyof typeof WORDS)[]} */ (this.draft.kind === "publish" || this.draft.kind === "correct" ? ["edit"] : []);
    switch (this.draft.state) {
      case "open":
        return [...edit, "submit", ...(editor && !this.draft.needs_approval ? /** @type {const} */ (["publish"]) : []), "discard"];
      case "submitted":
        return [
          ...(editor && !mine ? /** @type {const} */ (["approve"]) : []),
          ...(editor ? /** @type {const} */ (["return"]) : []),
          ...(editor && !this.draft.needs_approval ? /** @type {const} */ (["publish"]) : []),
          ...edit, "discard",
        ];
      case "scheduled":
        return [...(editor ? /** @type {const} */ (["publish", "return"]) : []), ...edit, "recall"];
      default:
        return [...edit, "submit", "discard"];
    }
  }

  #offer() {
    const actions = /** @type {HTMLElement} */ (this.element.querySelector(".actions"));
    const deeds = this.#deeds();
    if (actions.dataset.deeds === deeds.join()) return;
    const focused = actions.contains(document.activeElement);
    actions.dataset.deeds = deeds.join();
    actions.replaceChildren(...deeds.map((deed) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.dataset.do = deed;
      button.textContent = WORDS[deed];
      button.addEventListener("click", () => this.#press(deed));
      return button;
    }));
    if (focused) /** @type {HTMLElement} */ (this.element.querySelector("article")).focus();
  }

  /** @param {keyof typeof WORDS} deed */
  #press(deed) {
    if (this.#decision?.deed === deed) {
      this.#decision.focus();
      return;
    }
    this.close();
    this.#decision = new Decision(this, deed, this.#api, () => {
      this.#decision = null;
      this.#list.say("good", DONE[deed]);
      this.#list.look();
    });
    if (["submit", "publish", "discard", "recall"].includes(deed)) this.#decision.send();
    else this.#decision.focus();
  }

  /** @param {string} selector @param {string} words */
  #tell(selector, words) {
    const place = /** @type {HTMLElement} */ (this.element.querySelector(selector));
    place.hidden = !words;
    if (place.textContent !== words) place.textContent = words;
  }
}
