/**
 * The editors' desk: who is signed in, which channel, and how its parts hang together.
 * Keeps nothing in the browser but the channel in the address bar; the session is a cookie that it can't read.
 */

import { Api, Refused } from "./api.js";
import { Board } from "./board.js";
import { Composer } from "./compose.js";
import { ask, Cancelling } from "./dialogs.js";
import { clearFaults, showFaults } from "./fields.js";

/** @typedef {import("./api.js").Session} Session @typedef {import("./api.js").Channel} Channel */

const CONNECTIONS = { connecting: "Connecting", live: "Live", delayed: "Delayed", offline: "Offline" };

class Desk {
  #api = new Api();
  /** @type {Composer} */ #composer;
  /** @type {Board} */ #board;
  /** @type {Session|null} */ #session = null;
  /** @type {Channel|null} */ #channel = null;
  /** @type {string} who was signed in last: what is typed is theirs */ #owner = "";

  /** @param {AbortSignal} signal */
  constructor(signal) {
    const say = (/** @type {string} */ tone, /** @type {string} */ words) => this.#board.say(tone, words);
    const cancelling = new Cancelling(part("#cancel"), this.#api, say, signal);
    this.#composer = new Composer(part("#compose"), this.#api, signal);
    this.#board = new Board(part(".board"), this.#api, (row) => cancelling.open(row), signal);

    this.#api.addEventListener("signedout", () => this.#lockOut(), { signal });
    this.#board.addEventListener("trust", (event) => this.#showTrust(detail(event)), { signal });
    this.#board.addEventListener("new", (event) => this.#announce(detail(event)), { signal });
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
    part("#signin").addEventListener("input", () => clearFaults(part("#signin")), { signal });
    part("#signout").addEventListener("click", () => this.#signOut(), { signal });
    part("#channel").addEventListener("change", () => this.#choose(part("#channel").value), { signal });
    addEventListener("hashchange", () => this.start(), { signal });
    addEventListener("beforeunload", (event) => {
      if (this.#composer.dirty || this.#board.dirty) event.preventDefault();
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
    } catch {
      why = "The server does not answer. Your sign-in could not be checked; try again.";
    }
    if (this.#session) this.#enter(this.#session);
    else this.#door(why);
  }

  async #signIn() {
    const [form, input, button] = [part("#signin"), part("#key"), part("#signin button")];
    const key = input.value.trim();
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
      const words = problem instanceof Refused ? problem.detail : "The server does not answer. Try again.";
      showFaults(form, new Map([["key", words]]));
      input.select();
    } finally {
      button.disabled = false;
    }
  }

  async #signOut() {
    if (this.#composer.dirty || this.#board.dirty) {
      const leave = await ask(part("#ask"), {
        title: "Sign out with words unpublished?",
        more: this.#composer.pending
          ? "It is not known whether the last line went out, and what you typed would be gone."
          : "What you typed would be gone.",
        yes: "Sign out", no: "Stay",
      });
      if (!leave) return;
    }
    try {
      await this.#api.signOut();
    } catch {
      this.#board.say("bad", "The server does not answer: you are still signed in. Try again.");
      return;
    }
    this.#forget();
    this.#door("You are signed out.");
  }

  /** The server knows this session no more. What is typed stays behind the door, for the same editor. */
  #lockOut() {
    if (this.#session === null) return;
    this.#session = null;
    this.#door("Your session has ended. Sign in again; what you typed is kept.");
  }

  #forget() {
    this.#session = null;
    this.#channel = null;
    this.#owner = "";
    this.#composer.clear();
    this.#board.leave();
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
    part("#door").hidden = true;
    part("#desk").hidden = false;
    part("#name").textContent = name;
    part("#channel").replaceChildren(...channels.map((channel) => new Option(`${channel.title} (${channel.slug})`, channel.slug)));
    if (channels.length === 0) {
      this.#forget();
      this.#door("This key reaches no channel. Whoever made it can give it one.");
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
        more: `A change on ${this.#channel.title} is typed and not saved. It would be gone.`,
        yes: "Leave it", no: "Stay",
      });
      if (!leave) {
        part("#channel").value = this.#channel.slug;
        return;
      }
    }
    this.#go(channel);
  }

  /** @param {Channel} channel */
  #go(channel) {
    part("#channel").value = channel.slug;
    const same = channel.slug === this.#channel?.slug;
    this.#channel = channel;
    const address = new URL(location.href);
    address.searchParams.set("channel", channel.slug);
    history.replaceState(null, "", address);
    document.title = `${channel.title} · Ticker desk`;
    if (same) return; // back from the door: the board and what is typed in it still stand
    this.#composer.aim(channel);
    this.#board.watch(channel);
  }

  /** @param {keyof typeof CONNECTIONS} trust */
  #showTrust(trust) {
    const connection = part("#connection");
    if (connection.dataset.state === trust) return;
    connection.dataset.state = trust;
    connection.querySelector(".word").textContent = CONNECTIONS[trust];
  }

  /** A line is new on the board: said to those who don't see it. @param {import("./api.js").Line} line */
  #announce(line) {
    const said = document.createElement("p");
    said.lang = line.language;
    said.textContent = line.text;
    part("#heard").replaceChildren("On air: ", said);
  }
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
