/**
 * The editors' desk: who is signed in, which channel, and how its parts hang together.
 * Keeps nothing in the browser but the channel in the address bar and what is typed (draft.js); the session is a
 * cookie that it can't read.
 */

import { Api, OtherSession, Refused, Unheard } from "./api.js";
import { Board } from "./board.js";
import { Composer } from "./compose.js";
import { ask, Cancelling, named } from "./dialogs.js";
import { Drafts } from "./draft.js";
import { clearFaults, showFaults } from "./fields.js";
import { DeskLock } from "./lock.js";
import { NoPasskey, passkeysWork, signIn as signInWithPasskey } from "./passkey.js";
import { cleaned } from "./paste.js";
import { Waiting } from "./waiting.js";

/** @typedef {import("./api.js").Session} Session @typedef {import("./api.js").Channel} Channel */

const HEARD_FOR = 10_000; // ms that an announcement stays, for a screen reader that is still speaking
const CONNECTIONS = { connecting: "Connecting", live: "Live", delayed: "Delayed", offline: "Offline" };

class Desk {
  #api = new Api();
  /** @type {Drafts} */ #drafts;
  /** @type {Composer} */ #composer;
  /** @type {Board} */ #board;
  /** @type {Waiting} */ #waiting;
  /** @type {DeskLock} */ #lock;
  /** @type {Session|null} */ #session = null;
  /** @type {Channel|null} */ #channel = null;
  /** @type {string} who was signed in last: what is typed is theirs */ #owner = "";
  #asking = false; // who is to go on

  /** @param {AbortSignal} signal */
  constructor(signal) {
    const say = (/** @type {string} */ tone, /** @type {string} */ words) => this.#board.say(tone, words);
    const cancelling = new Cancelling(part("#cancel"), this.#api, say, signal);
    this.#drafts = new Drafts(signal);
    this.#composer = new Composer(part("#compose"), this.#api, this.#drafts, announce, signal);
    this.#board = new Board(part(".board"), this.#api, this.#drafts, (row) => cancelling.open(row), signal);

    this.#waiting = new Waiting(part(".waiting"), this.#api, announce, signal);
    this.#lock = new DeskLock(this.#api, say, signal);
    this.#lock.addEventListener("lock", (event) => { this.#composer.locked = detail(event) !== null; }, { signal });
    this.#composer.addEventListener("waits", () => this.#waiting.look(), { signal });

    this.#api.addEventListener("signedout", () => this.#lockOut(), { signal });
    this.#api.addEventListener("othersession", (event) => this.#meetOther(detail(event)), { signal });
    this.#board.addEventListener("trust", (event) => this.#showTrust(detail(event)), { signal });
    this.#board.addEventListener("new", (event) => {
      const line = detail(event);
      if (!this.#composer.isMine(line)) announce("On air:", line);
    }, { signal });
    this.#board.addEventListener("left", (event) => this.#composer.left(detail(event)), { signal });
    this.#board.addEventListener("shown", (event) => {
      this.#composer.seen(detail(event), this.#board.trust !== "offline");
    }, { signal });
    this.#composer.addEventListener("published", (event) => {
      const line = detail(event); // the feed may have been faster than the answer
      if (this.#board.has(line.id)) this.#composer.seen(line, this.#board.trust !== "offline");
    }, { signal });
    this.#composer.addEventListener("pending", () => { part("#channel").disabled = this.#composer.pending; }, { signal });

    part("#signin").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#signIn();
    }, { signal });
    part("#by-passkey").hidden = !passkeysWork();
    part("#passkey").addEventListener("click", () => this.#signInWithPasskey(), { signal });
    part("#signin").addEventListener("input", () => clearFaults(part("#signin")), { signal });
    part("#signout").addEventListener("click", () => this.#signOut(), { signal });
    part("#channel").addEventListener("change", () => this.#choose(part("#channel").value), { signal });
    addEventListener("hashchange", () => this.start(), { signal });
    addEventListener("beforeunload", (event) => {
      if (this.#composer.atRisk || this.#board.dirty || this.#waiting.dirty) event.preventDefault();
    }, { signal });
  }

  /** Come in: by a one-time link, else by the session there is, else through the door. */
  async start() {
    const once = new URLSearchParams(location.hash.slice(1)).get("once");
    let why = "";
    try {
      if (once !== null) {
        history.replaceState(null, "", location.pathname + location.search);
        try {
          await this.#api.signIn({ once });
        } catch (problem) {
          if (!(problem instanceof Refused)) throw problem;
          why = problem.detail;
        }
      }
      this.#session = await this.#api.session();
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      why = problem instanceof Refused ? problem.message : "The server does not answer. Your sign-in could not be checked; try again.";
    }
    if (this.#session) this.#enter(this.#session);
    else this.#door(why);
  }

  async #signIn() {
    const [form, input, button] = [part("#signin"), part("#key"), part("#signin button[type=submit]")];
    const key = cleaned(input.value).text.trim();
    clearFaults(form);
    if (key === "") {
      showFaults(form, new Map([["key", "Type or paste your key."]]));
      return;
    }
    button.disabled = true;
    try {
      await this.#api.signIn({ key });
      this.#session = await this.#api.session();
      if (this.#session === null) throw new Refused(401, { detail: "This browser does not keep the session. Allow cookies for this page." });
      input.value = "";
      this.#enter(this.#session);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      const words = problem instanceof Refused ? problem.detail : "The server does not answer. Try again.";
      showFaults(form, new Map([["key", words]]));
      input.select();
    } finally {
      button.disabled = false;
    }
  }

  async #signInWithPasskey() {
    const [button, fault] = [part("#passkey"), part("#passkey-fault")];
    button.disabled = true;
    fault.hidden = true;
    try {
      await signInWithPasskey();
      this.#session = await this.#api.session();
      if (this.#session === null) throw new Refused(401, { detail: "This browser does not keep the session. Allow cookies for this page." });
      this.#enter(this.#session);
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard || problem instanceof NoPasskey)) throw problem;
      fault.textContent = problem instanceof Unheard ? "The server does not answer. Try again." : problem.detail;
      fault.hidden = false;
    } finally {
      button.disabled = false;
    }
  }

  async #signOut() {
    if (this.#composer.dirty || this.#board.dirty || this.#waiting.dirty) {
      const leave = await ask(part("#ask"), {
        title: "Sign out with words unpublished?",
        more: [this.#composer.pending
          ? "It is not known whether the last line went out, and what you typed would be gone."
          : "What you typed would be gone."],
        yes: ["Sign out"], no: "Stay",
      });
      if (leave !== "yes") return;
    }
    try {
      await this.#api.signOut();
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      if (!(problem instanceof OtherSession)) {
        const why = problem instanceof Refused ? problem.message : "The server does not answer.";
        this.#board.say("bad", `You are still signed in. ${why} Try again.`);
      }
      return;
    }
    this.#drafts.clear();
    this.#forget();
    this.#door("You are signed out.");
  }

  /** The server knows this session no more. What is typed stays behind the door, for the same editor. */
  #lockOut() {
    if (this.#session === null) return;
    this.#session = null;
    this.#door("Your session has ended. Sign in again; what you typed is kept.");
  }

  /** In another tab somebody else has signed in: who goes on? @param {OtherSession} problem */
  async #meetOther({ signedIn }) {
    if (this.#asking || this.#session === null) return;
    this.#asking = true;
    try {
            const kept = " Nothing was published or changed. What you typed is kept.";
      const itself = signedIn === this.#owner; // or somebody of the same name: the page can't know
      const answer = await ask(part("#ask"), {
        title: itself ? "Signed in again in another tab" : "Somebody else is signed in now",
        more: itself
          ? [named(signedIn), " has signed in again in this browser, in another tab.", kept]
          : [signedIn ? named(signedIn) : "Somebody else", " is signed in now in this browser; this page was signed in as ", named(this.#owner), ".", kept],
        yes: signedIn ? ["Go on as ", named(signedIn)] : ["Go on anyway"], no: "Sign in again",
      });
      if (answer === "yes") await this.#goOn();
      else if (answer === "no") {
        this.#session = null;
        this.#door("Sign in again. What you typed is kept for you; for anybody else it is removed.");
      }
    } finally {
      this.#asking = false;
    }
  }

  /** As whoever is signed in now, with what is typed. */
  async #goOn() {
    let session;
    try {
      session = await this.#api.session();
    } catch (problem) {
      if (!(problem instanceof Refused || problem instanceof Unheard)) throw problem;
      this.#board.say("bad", `${problem.message} It could not be asked who is signed in. What you typed is kept; try again.`);
      return;
    }
    if (session === null) {
      this.#lockOut();
      return;
    }
    if (session.channels.length === 0) {
      this.#board.say("bad", `${session.name} works on no channel that there is. Sign in again; what you typed is kept.`);
      return;
    }
    this.#session = session;
    this.#owner = session.name;
    this.#enter(session);
    this.#composer.handOver();
  }

  #forget() {
    this.#session = null;
    this.#channel = null;
    this.#owner = "";
    this.#composer.clear();
    this.#board.leave();
    this.#waiting.leave();
    this.#lock.leave();
  }

  /** @param {string} why */
  #door(why) {
    for (const dialog of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (dialog).close();
    part("#desk").hidden = true;
    part("#door").hidden = false;
    document.title = "Sign in · Ticker desk";
    part("#signin-why").textContent = why;
    part("#key").focus();
  }

  /** @param {Session} session */
  #enter(session) {
    const { name, channels } = session;
    if (this.#owner && this.#owner !== name) {
      this.#forget();
      this.#session = session;
    }
    this.#owner = name;
    this.#drafts.belongTo(name);
    part("#door").hidden = true;
    part("#desk").hidden = false;
    part("#name").textContent = name;
    part("#name").title = name;
    part("#languages").replaceChildren(...[...new Set(channels.map(({ language }) => language))].map((language) => new Option(language)));
    part("#channel").replaceChildren(...channels.map((channel) => new Option(`${channel.title} (${channel.slug})`, channel.slug)));
    if (channels.length === 0) {
      this.#forget();
      this.#door("This key works on no channel that there is. Ask an admin for another one.");
      return;
    }
    const wanted = new URLSearchParams(location.search).get("channel");
    this.#go(channels.find(({ slug }) => slug === (this.#channel?.slug ?? wanted)) ?? channels[0]);
    this.#composer.focus();
  }

  /** @param {string} slug */
  async #choose(slug) {
    const channel = this.#session?.channels.find((each) => each.slug === slug);
    if (!channel || channel === this.#channel) return;
    if (this.#board.dirty) {
      const leave = await ask(part("#ask"), {
        title: "Leave a correction unsaved?",
        more: ["A change on ", named(this.#channel.title), " is typed and not saved. It would be gone."],
        yes: ["Leave it"], no: "Stay",
      });
      if (leave !== "yes") {
        part("#channel").value = this.#channel.slug;
        return;
      }
      this.#board.discard();
    }
    this.#go(channel);
  }

  /** @param {Channel} channel */
  #go(channel) {
    part("#channel").value = channel.slug;
    const same = channel.slug === this.#channel?.slug;
    this.#channel = channel;
    document.title = `${channel.title} · Ticker desk`;
    if (!same) { // else back from the door: the board and what is typed in it still stand
      this.#composer.aim(channel, this.#session);
      this.#board.watch(channel);
    }
    this.#composer.signIn(this.#session);
    this.#waiting.watch(channel, this.#session);
    this.#lock.watch(channel.slug, ["chief", "admin"].includes(this.#session.role));
    const address = new URL(location.href);
    address.searchParams.set("channel", channel.slug);
    history.replaceState(null, "", address); // last: a browser may refuse it
  }

  /** @param {keyof typeof CONNECTIONS} trust */
  #showTrust(trust) {
    const connection = part("#connection");
    if (connection.dataset.state === trust) return;
    connection.dataset.state = trust;
    connection.querySelector(".word").textContent = CONNECTIONS[trust];
  }
}

/** Say it to those who don't see the page: each event once. @param {string} words @param {import("./api.js").Line} [line] quoted */
function announce(words, line) {
  const said = document.createElement("p");
  said.append(words);
  if (line?.text !== undefined) {
    const quote = document.createElement("span");
    quote.lang = line.language;
    quote.translate = false;
    quote.textContent = line.text;
    said.append(" ", quote);
  }
  part("#heard").append(said);
  setTimeout(() => said.remove(), HEARD_FOR);
}

/** @returns {any} a part of the page that is always there */
function part(selector) {
  return document.querySelector(selector);
}

/** @param {Event} event */
function detail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

if (/Mac|iPhone|iPad/u.test(navigator.platform)) {
  for (const key of document.querySelectorAll("kbd.mod")) key.textContent = "⌘";
}
const page = new AbortController();
addEventListener("pagehide", ({ persisted }) => { if (!persisted) page.abort(); }, { signal: page.signal });
new Desk(page.signal).start();
