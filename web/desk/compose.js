/**
 * How a new line is sent, and what becomes of it. Knows the API and its own form; knows no board.
 *
 * Rule 1: what was typed goes only when the server has said that it keeps it.
 * Rule 2: while nobody knows whether a line went out, it is locked, and only ever sent again under the same
 *         Idempotency-Key: it can't go out twice, and it can't change between two tries.
 * Rule 3: both survive a reload and a crash of the browser, if it lets us keep a draft.
 *
 * More than 400 lines: one form, whose words, parcel, hold and kept copy change together.
 */

import { randomKey, Refused, Unheard } from "./api.js";
import { named } from "./dialogs.js";
import { showWarnings } from "./fields.js";
import { Hold } from "./hold.js";
import { NewLine } from "./newline.js";
import { countdown, inNewsroom, moments } from "./when.js";
import { toTheMinute, toTheSecond } from "./words.js";

const SETTLED = [400, 413, 415, 422]; // refusals of the words themselves: an earlier try met the same
const RETRIES_AFTER = [1_000, 2_000, 4_000]; // ms; what a restart takes. Later, a person should decide
const SEEN_WITHIN = 3_000; // ms that a screen reader waits for the board, so that one line is one announcement
const HELD_MAX = 60; // s; what is due later is scheduled, and stands among the drafts
const KEPT = "These words are kept in this browser until you publish them or sign out.";
const SAFE = "Trying again is safe: it is the same line, so it can’t go out twice.";
const EMPTY = "The form is empty now: type the next line.";

/** @typedef {import("./api.js").Channel} Channel @typedef {import("./api.js").Line} Line */
/** @typedef {import("./api.js").Session} Session @typedef {import("./api.js").Draft} Draft */
/** @typedef {"publish"|"save"|"submit"} Way what a button asks for */
/** @typedef {{channel: Channel, body: string, key: string, way?: Way}} Parcel a line on its way, and how to send it again */

/** Says `published` (detail: the line) when the server keeps a new one, and `waits` when a draft is kept. */
export class Composer extends EventTarget {
  #api;
  #drafts;
  #announce;
  /** @type {NewLine} */ #line;
  /** @type {HTMLElement} */ #told;
  /** @type {HTMLElement} */ #unheard;
  /** @type {HTMLButtonElement} */ #publish;
  /** @type {HTMLElement} its place; while a line is in doubt the doubt's own buttons stand there */ #sendRow;
  /** @type {HTMLElement} says whether a draft is kept */ #draftNote;
  /** @type {Channel|null} */ #channel = null;
  /** @type {string|null} the channel under whose name the draft is kept */ #slot = null;
  #stored = false;
  /** @type {Parcel|null} */ #parcel = null;
  /** @type {AbortController|null} the try that is under way; aborted, nobody waits for it any more */ #trying = null;
  /** @type {Line|null} the line just published, until the board has shown it */ #awaited = null;
  /** @type {string|null} the id of the line last told of as published */ #toldOf = null;
  /** @type {Session|null} */ #session = null;
  /** @type {Hold|null} */ #hold = null;
  /** Whether the desk is locked: then nothing is held, so that the server refuses it at once. */ locked = false;
  /** @type {HTMLElement} */ #warnings;
  /** @type {HTMLElement} */ #form;
  #waiting = 0;

  /**
   * @param {HTMLFormElement} form @param {import("./api.js").Api} api @param {import("./draft.js").Drafts} drafts
   * @param {(words: string, line?: Line) => void} announce @param {AbortSignal} signal
   */
  constructor(form, api, drafts, announce, signal) {
    super();
    this.#api = api;
    this.#drafts = drafts;
    this.#announce = announce;
    this.#form = form;
    this.#warnings = form.querySelector("#warnings");
    this.#line = new NewLine(form, signal);
    this.#told = form.querySelector("#told");
    this.#unheard = form.querySelector("#unheard");
    this.#publish = form.querySelector("#publish");
    this.#sendRow = form.querySelector(".send");
    this.#draftNote = form.querySelector("#draft");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    }, { signal });
    form.addEventListener("input", ({ target }) => {
      if (!this.#warnings.contains(/** @type {Node} */ (target))) this.#warnings.replaceChildren(); // they were of other words
      this.#keep();
      this.#nameWays();
    }, { signal });
    form.querySelector("#save-draft").addEventListener("click", () => this.#submit("save"), { signal });
    form.querySelector("#submit-draft").addEventListener("click", () => this.#submit("submit"), { signal });
    form.querySelector("#schedule").addEventListener("click", () => this.#schedule(), { signal });
    form.querySelector("#discard").addEventListener("click", () => this.#discard(), { signal });
    drafts.addEventListener("gone", (event) => this.#goneElsewhere(/** @type {CustomEvent} */ (event).detail), { signal });
    form.querySelector("#again").addEventListener("click", () => this.#send(), { signal });
    form.querySelector("#afresh").addEventListener("click", () => this.#letGo(), { signal });
  }

  /** Whether something would be lost with the page. */
  get atRisk() {
    return this.pending || (this.dirty && !this.#stored);
  }

  /** Whether something is typed, or on its way, and not published. */
  get dirty() {
    return this.#parcel !== null || this.#line.typed;
  }

  /** Whether a line is on its way, or nobody knows whether it arrived. */
  get pending() {
    return this.#parcel !== null;
  }

  /** @param {Channel} channel where the next line goes; what is typed stays @param {Session} session */
  aim(channel, session) {
    this.#channel = channel;
    this.#line.aim(channel);
    this.signIn(session);
    this.#tell("", "");
    if (this.dirty) this.#keep();
    else this.#restore();
  }

  /** @param {Session} session who sends what is typed: it decides which ways there are */
  signIn(session) {
    this.#session = session;
    this.#form.querySelector("#zone").textContent = `in ${session.timezone}`;
    this.#nameWays();
  }

  /** Somebody else goes on with what is typed. What was on its way was the other's: it can't be sent again as it was. */
  handOver() {
    if (this.pending) this.#letGo();
    else this.#tell("", "");
    this.#keep();
  }

  focus() {
    if (this.pending) /** @type {HTMLElement} */ (this.#unheard.querySelector("#again")).focus();
    else this.#line.focus();
  }

  /** Forget everything: the next editor at this screen finds an empty form. */
  clear() {
    this.#await(null);
    this.#hold?.close();
    this.#hold = null;
    this.#release();
    this.#line.reset();
    this.#warnings.replaceChildren();
    this.#tell("", "");
    this.#showDraft("");
    this.#slot = null;
  }

  /** Whether this line is the one that is published here just now: it is announced from here. @param {Line} line */
  isMine(line) {
    if (this.#parcel !== null) return this.#parcel.channel.slug === line.channel && JSON.parse(this.#parcel.body).text === line.text;
    return line.id === this.#toldOf;
  }

  /** A line is no longer on the board: it must not stand here as on air. @param {Line} line */
  left(line) {
    if (line.id === this.#toldOf) this.#tell("", "");
  }

  /** The board shows this line: what was only promised is now seen. @param {Line} line @param {boolean} live */
  seen(line, live) {
    if (line.status !== "usable") this.left(line);
    if (line.id !== this.#awaited?.id || !live) return;
    this.#await(null);
    this.#tell("good", `On air since ${toTheSecond(line.published)}.`, line);
    this.#announce("On air:", line);
  }

  /** @param {Way} [way] @param {Date} [at] */
  #submit(way = "publish", at = undefined) {
    if (this.#trying || this.#hold || this.#channel === null) return;
    if (way === "publish" && this.#session?.role === "contributor") way = "submit";
    if (this.#parcel === null) {
      if (this.#line.empty) {
        this.#refuseEmpty();
        return;
      }
      if (this.#line.showRefused()) {
        this.#tell("", "");
        return;
      }
      this.#parcel = { channel: this.#channel, body: JSON.stringify(this.#body(way, at)), key: randomKey(), way };
    }
    this.#send();
  }

  /** What is sent: the line, and how it is to go out. @param {Way} way @param {Date} [at] */
  #body(way, at) {
    const line = this.#line.draft;
    if (way !== "publish") return line;
    const confirm = [...this.#warnings.querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
    const hold = this.#channel.hold?.[line.urgency] ?? 0;
    return {
      ...line,
      ...(confirm.length > 0 && { confirm }),
      ...(at !== undefined ? { publish_at: at.toISOString() } : hold > 0 && !this.#needsApproval && !this.locked && { publish_in: hold }),
    };
  }

  get #needsApproval() {
    return this.#session?.role === "contributor" || (this.#channel.approve ?? []).includes(this.#line.value("urgency"));
  }

  /** The buttons, as they work for this person, channel and urgency. */
  #nameWays() {
    const contributor = this.#session?.role === "contributor";
    const submits = this.#needsApproval;
    this.#publish.replaceChildren(submits ? "Submit for approval on " : "Publish to ", named(this.#channel.title));
    this.#publish.dataset.way = submits ? "submit" : "publish";
    /** @type {HTMLElement} */ (this.#form.querySelector("#submit-draft")).hidden = submits;
    /** @type {HTMLElement} */ (this.#form.querySelector("#later")).hidden = contributor;
    const zone = this.#session?.timezone ?? "UTC";
    const [at, ...more] = moments(/** @type {HTMLInputElement} */ (this.#form.querySelector("#when")).value, zone);
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    this.#form.querySelector("#when-means").textContent = at === undefined || more.length > 0
      ? ""
      : `In ${countdown((at.getTime() - Date.now()) / 1000)}${inNewsroom(at, own) === inNewsroom(at, zone) ? "" : `; here ${inNewsroom(at, own)}`}`;
  }

  #schedule() {
    const field = /** @type {HTMLInputElement} */ (this.#form.querySelector("#when"));
    const zone = this.#session?.timezone ?? "UTC";
    const found = moments(field.value, zone);
    const fault = field.value === "" ? "Choose the day and the time first."
      : found.length === 0 ? `The clocks in ${zone} never show this time: they are put forward then. Choose another.`
      : found.length > 1 ? `The clocks in ${zone} show this time twice: they are put back then. Choose another.`
      : found[0].getTime() <= Date.now() ? "This time is in the past." : "";
    if (fault) this.#line.refuse(new Map([["publish_at", fault]]));
    else this.#submit("publish", found[0]);
  }

  /** Publish was pressed once more than there was something to publish: what was told of the line before still holds. */
  #refuseEmpty() {
    if (this.#told.dataset.tone === "good") {
      const saying = this.#told.querySelector("p");
      if (!saying.textContent.endsWith(EMPTY)) saying.append(` ${EMPTY}`);
      this.#announce(EMPTY);
      this.#line.focus();
      return;
    }
    if (this.#told.dataset.tone === "bad") this.#tell("", "");
    this.#line.refuse(new Map([["text", "Write the line first."]]));
  }

  async #send() {
    const parcel = this.#parcel;
    if (this.#trying || parcel === null) return;
    const trying = new AbortController();
    this.#trying = trying;
    this.#lock(true); // first: what is sent must not differ from what stands there
    let kept;
    try {
      this.#await(null);
      this.#tell("", !this.#unheard.hidden ? "Trying again…" : (parcel.way ?? "publish") === "publish" ? "Publishing…" : "Saving…");
      this.#keep();
      kept = await this.#deliver(parcel, trying.signal);
    } catch (problem) {
      if (!trying.signal.aborted) this.#failed(problem);
      return;
    } finally {
      if (this.#trying === trying) this.#trying = null;
    }
    const { line, draft } = kept;
    if (trying.signal.aborted && line) this.#tell("warn", `The first try did go out, at ${toTheSecond(line.published)}:`, line);
    else if (trying.signal.aborted) this.dispatchEvent(new Event("waits"));
    else if (line) this.#kept(line);
    else this.#keptDraft(draft);
  }

  /** Sends until there is an answer, or none for so long that a person must decide. @param {Parcel} parcel @param {AbortSignal} signal */
  async #deliver(parcel, signal) {
    for (const wait of RETRIES_AFTER) {
      try {
        return await this.#deliverOnce(parcel);
      } catch (problem) {
        if (signal.aborted || !(problem instanceof Unheard)) throw problem;
      }
      this.#tell("", "");
      this.#doubt("Your words are kept. This page is trying again…");
      await new Promise((resolve) => setTimeout(resolve, wait));
      signal.throwIfAborted();
    }
    return this.#deliverOnce(parcel);
  }

  /** @param {Parcel} parcel */
  async #deliverOnce({ channel, body, key, way = "publish" }) {
    if (way === "publish") return this.#api.publish(channel.slug, body, key);
    const kept = await this.#api.save(channel.slug, body, key);
    return way === "submit" && kept.draft.state === "open" ? this.#api.decide(kept.draft, "submit", {}) : kept;
  }

  /** It waits: for some seconds, for its time, for a second person, or for its writer. @param {Draft} draft */
  #keptDraft(draft) {
    this.dispatchEvent(new Event("waits"));
    const way = this.#parcel?.way;
    if (draft.state === "scheduled" && draft.due.in <= HELD_MAX) {
      this.#holdOn(draft);
      return;
    }
    const said = {
      open: way === "submit" ? "Saved, not submitted." : "Saved among the drafts.",
      submitted: draft.needs_approval
        ? `Submitted. It goes out ${draft.due ? `at ${inNewsroom(draft.publish_at, draft.due.timezone)} (${draft.due.timezone}), if a second person agrees by then, or when one does` : "when a second person agrees"}.`
        : "Submitted.",
      scheduled: draft.due && `Scheduled for ${inNewsroom(draft.publish_at, draft.due.timezone)} (${draft.due.timezone}), in ${countdown(draft.due.in)}.`,
      released: "It is on the air.",
    }[draft.state] ?? `It is ${draft.state}: look among the drafts.`;
    this.#sent();
    this.#tell("good", said);
    this.#announce(said);
  }

  /** The form is free for the next line. */
  #sent() {
    this.#parcel = null;
    this.#lock(false);
    this.#line.reset();
    this.#warnings.replaceChildren();
    this.#keep();
    this.#nameWays();
    if (this.#line.active && matchMedia("(any-pointer: fine)").matches) this.#line.focus({ preventScroll: true });
  }

  /** The words stand in the form, and can be taken back, until they are out. @param {Draft} draft */
  #holdOn(draft) {
    const focused = this.#line.active;
    this.#unheard.hidden = true;
    this.#sendRow.hidden = true;
    this.#tell("", "");
    const place = /** @type {HTMLElement} */ (this.#form.querySelector("#hold"));
    const hold = new Hold(this.#api, place, draft);
    this.#hold = hold;
    this.#announce(`Goes out in ${Math.ceil(draft.due.in)} seconds. Escape or U takes it back.`);
    if (focused) place.querySelector("button").focus({ preventScroll: true });
    hold.addEventListener("out", (event) => {
      this.#hold = null;
      const line = /** @type {CustomEvent} */ (event).detail;
      this.#out({ id: line.line, published: line.updated, text: line.text, language: this.#line.value("language"), direction: this.#line.value("direction") });
    });
    hold.addEventListener("recalled", () => {
      this.#hold = null;
      this.#release();
      this.#keep();
      this.#tell("warn", "Taken back. Nothing went out.");
      this.#announce("Taken back. Nothing went out.");
      this.#line.focus();
      this.dispatchEvent(new Event("waits"));
    });
    hold.addEventListener("unsure", (event) => {
      this.#hold = null;
      this.#sent();
      this.#tell("warn", /** @type {CustomEvent} */ (event).detail);
      this.#announce(this.#told.textContent);
      this.dispatchEvent(new Event("waits"));
    });
  }

  /** @param {any} line what is known of it; the board has the rest */
  #out(line) {
    this.dispatchEvent(new Event("waits"));
    this.#await(line);
    this.#sent();
    this.#tell("good", `Published at ${toTheSecond(line.published)}. The board will show when it is on air.`, line);
    this.dispatchEvent(new CustomEvent("published", { detail: line }));
  }

  /** @param {Line} line */
  #kept(line) {
    this.#parcel = null;
    this.#await(line);
    this.#lock(false);
    this.#line.reset();
    this.#warnings.replaceChildren();
    this.#keep();
    // On a phone the focus would bring up the keyboard, over the confirmation.
    if (this.#line.active && matchMedia("(any-pointer: fine)").matches) this.#line.focus({ preventScroll: true });
    this.#tell("good", `Published at ${toTheSecond(line.published)}. The board will show when it is on air.`, line);
    this.dispatchEvent(new CustomEvent("published", { detail: line }));
  }

  #failed(problem) {
    if (!(problem instanceof Refused || problem instanceof Unheard)) {
      this.#doubt(`This page itself failed. Your words are kept. ${SAFE}`);
      this.#tell("", "");
      throw problem;
    }
    if (problem instanceof Unheard) {
      this.#doubt(`The server does not answer. Your words are kept. ${SAFE}`);
      this.#tell("", "");
      return;
    }
    if (!this.#unheard.hidden && !SETTLED.includes(problem.status)) {
      this.#doubt(`An earlier try may have gone out. This one was refused. ${problem.message}`);
      this.#tell("", "");
      return;
    }
    this.#release();
    if (problem.warnings.length > 0) {
      showWarnings(this.#warnings, problem.warnings);
      this.#tell("bad", "Not published. Look again: tick each warning that may be passed over, then publish.");
      this.#announce(this.#told.textContent);
      /** @type {HTMLElement} */ (this.#warnings.querySelector("input"))?.focus();
      this.#keep();
      return;
    }
    const rest = this.#line.refuse(problem.fields);
    if (problem.fields.size === 0) this.#publish.focus();
    this.#tell("bad", `Not published. ${rest || problem.message}`);
    this.#announce(this.#told.textContent);
    this.#keep();
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
    this.#keep();
    this.#tell("warn", "If the first try did reach the server, it stands on the board: look before you publish.");
    this.#announce(this.#told.textContent);
    this.#line.focus();
  }

  /** Keep what is typed, and a line that is on its way, in this browser. */
  #keep() {
    const mine = this.#channel.slug;
    if (this.#slot !== mine && (this.#slot === null || this.#drafts.find(mine) === null)) {
      if (this.#slot !== null) this.#drafts.drop(this.#slot);
      this.#slot = mine;
    }
    if (!this.dirty) {
      this.#drafts.drop(this.#slot);
      this.#showDraft("");
      return;
    }
    const parcel = this.#parcel && { ...this.#parcel, channel: this.#parcel.channel.slug };
    this.#stored = this.#drafts.keep(this.#slot, { fields: this.#line.values, ...(parcel && { parcel }) });
    this.#showDraft(this.#stored
      ? KEPT
      : "This browser keeps nothing: what you type is lost when the page is reloaded or closed.");
  }

  /** What was typed for this channel before a reload or a crash. */
  #restore() {
    this.#slot = this.#channel.slug;
    this.#showDraft("");
    const draft = this.#drafts.find(this.#slot);
    if (draft === null) return;
    this.#line.fill(draft.fields);
    this.#stored = true;
    if (draft.parcel === undefined) {
      this.#showDraft(`Not published yet: what you typed at ${toTheMinute(draft.at)}. ${KEPT}`, true);
      return;
    }
    this.#showDraft(KEPT);
    if (draft.parcel.channel !== this.#channel.slug) {
      this.#tell("warn", `This line may have gone out on the channel ${draft.parcel.channel}: look there before you publish it here.`);
      return;
    }
    this.#parcel = { ...draft.parcel, channel: this.#channel };
    this.#lock(true);
    this.#doubt(`The page was closed or reloaded before an answer came. ${SAFE}`);
  }

  #discard() {
    this.#line.reset();
    this.#keep();
    this.#line.focus();
  }

  /** @param {import("./draft.js").Draft} draft that another tab has published or discarded */
  #goneElsewhere(draft) {
    if (this.pending || !this.dirty || draft.fields.text !== this.#line.value("text")) return;
    this.#stored = false;
    this.#showDraft("");
    this.#tell("warn", "In another tab these words were published or discarded, or somebody else signed in: "
      + "look at the board before you publish.");
    this.#announce(this.#told.textContent);
  }

  /** @param {string} words @param {boolean} [restored] */
  #showDraft(words, restored = false) {
    const note = this.#draftNote;
    note.hidden = words === "";
    const said = note.querySelector(".words");
    if (said.textContent !== words) said.textContent = words;
    /** @type {HTMLElement} */ (note.querySelector("#discard")).hidden = !restored;
  }

  /** The board will show this line; it is announced once, with its text, for editors who can't see it. @param {Line|null} line */
  #await(line) {
    clearTimeout(this.#waiting);
    this.#awaited = line;
    if (line !== null) this.#waiting = setTimeout(() => this.#announce("Published. The board does not show it yet."), SEEN_WITHIN);
  }

  #doubt(more) {
    const { activeElement } = document;
    this.#unheard.querySelector(".more").textContent = more;
    if (this.#unheard.hidden) {
      this.#unheard.hidden = false;
      if (this.#unheard.closest("form").contains(activeElement)) /** @type {HTMLElement} */ (this.#unheard.querySelector("#again")).focus();
      this.#sendRow.hidden = true;
    }
    this.#unheard.scrollIntoView({ block: "nearest" });
  }

  #lock(locked) {
    if (!locked) {
      this.#unheard.hidden = true;
      this.#sendRow.hidden = false;
    }
    this.#line.lock(locked);
    this.#publish.setAttribute("aria-disabled", String(locked));
    this.dispatchEvent(new Event("pending"));
  }

  /** @param {""|"good"|"warn"|"bad"} tone @param {string} words @param {Line} [line] quoted beneath */
  #tell(tone, words, line) {
    this.#told.dataset.tone = tone;
    this.#told.replaceChildren();
    this.#toldOf = line?.id ?? null;
    if (!words) return;
    const saying = document.createElement("p");
    saying.textContent = words;
    this.#told.append(saying);
    if (line?.text !== undefined) {
      const quote = document.createElement("p");
      quote.className = "text";
      quote.translate = false;
      quote.lang = line.language;
      quote.dir = line.direction;
      quote.textContent = line.text;
      this.#told.append(quote);
    }
    this.#told.scrollIntoView({ block: "nearest" });
  }
}
