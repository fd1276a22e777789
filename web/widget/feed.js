/**
 * One connection to one server, for all its channels that a page shows; and for all tabs of the site, if the browser
 * lets them speak with one another. Knows no DOM.
 *
 *     WebSocket ──fails──▶ SSE ──fails──▶ polling
 *         ▲─after 10 s, then every 10 min─┴──────┘
 *
 * The tab that holds the Web Lock leads: it connects, and passes on what it takes over a BroadcastChannel. The
 * others follow, and ask it for what they miss. When it goes, the next one leads, from the cursor that it holds
 * itself. Only tabs that can be seen, or could a minute ago, lead or follow. Where tabs can't speak, each leads.
 */

import { Board, expiry } from "./board.js";
import { withExtras } from "./load-extras.js";
import { overHttp, overWebSocket } from "./transports.js";
import { SECOND } from "./units.js";

/**
 * @typedef {import("./board.js").Change} Change
 * @typedef {import("../ticker.js").State} State
 *
 * What is told who joined a channel: that its board changed, and how; `missed` if that came as a whole board after
 * an absence. With nothing: that the connection's state changed.
 * @typedef {(changes?: Change[], missed?: boolean) => void} Listener
 */

// In milliseconds

const FIRST_FRAME = 10_000; // what lets nothing through for so long is no connection; what lasts longer is one
const DELAYED = 35_000; // without a frame: beats come every 20 to 25 s. FIRST_FRAME later it is dead
const ANSWER = 3_000; // a leading tab that doesn't say a word in it is frozen
const BACKOFF = 500; // doubled with every failure, six times at most
const POLL = 20_000; // at most: each pause is drawn from 0 to this, so that readers spread out
const REST = 60_000; // after a page was last seen
const LONG = 600_000; // between tries of a WebSocket that fails; and the most that Retry-After can ask for
const REFUSED = 30_000; // until a channel that the server doesn't have is asked for again: doubled each time, up to LONG

// Transports, in the order in which they are tried

const WEBSOCKET = 0;
const STREAM = 1;
const POLLING = 2;

/** Why a connection was ended: the next one is made at once, and this isn't a failure. */
const RECONNECT = 0;

/** By server. @type {Record<string, Feed>} */
const feeds = {};

/** @param {string} channel */
const boardPath = (channel) => `/v1/channels/${encodeURIComponent(channel)}/lines`;

export class Feed {
  /** When the last frame came, in our clock's milliseconds; until then, when we began. */
  heard = Date.now();

  #server;
  /** @type {Record<string, Board>} */
  #boards = /** @type {any} */ ({ __proto__: null });
  /** Who joined which channel, in this page. @type {Map<Listener, string>} */
  #members = new Map();
  /** When another tab last asked, by channel. @type {Record<string, number>} */
  #askedAt = {};
  /** What the connection carries. @type {Record<string, Board>} */
  #carried = {};
  /** Channels that the server doesn't have, or closes on: asked for again by themselves, and rarely.
   * @type {string[]} */
  #refused = [];
  #refusedPause = REFUSED;
  #refusedTimer = 0;
  /** @type {State} */
  #state = "connecting";
  #transport = WEBSOCKET;
  /** Ends all that we do. @type {AbortController|undefined} */
  #running;
  /** Ends what the leader waits for, a connection or a pause. Undefined: we follow.
   * @type {AbortController|undefined} */
  #attempt;
  /** @type {BroadcastChannel|undefined} */
  #tabs;
  /** The same, once there is another tab. @type {BroadcastChannel|undefined} */
  #others;
  /** From when a WebSocket is worth another try, if there is something else. */
  #retrySocketAt = Date.now() + FIRST_FRAME;
  #watchdog = 0;
  #restTimer = 0;
  /** Until the next line of a channel expires. @type {Record<string, number>} */
  #expiryTimers = {};

  /** The page's one feed of a server. @param {string} server base URL, no slash at its end */
  static at(server) {
    return (feeds[server] ??= new Feed(server));
  }

  /** @param {string} server */
  constructor(server) {
    const wake = () => this.#wake();
    this.#server = server;
    addEventListener("pagehide", () => this.#stop()); // or the page would be kept out of the back/forward cache
    addEventListener("pageshow", wake);
    addEventListener("visibilitychange", wake);
    addEventListener("online", () => this.#reconnect());
  }

  /** @param {string} channel @param {Listener} listener @returns {Board} */
  join(channel, listener) {
    this.#members.set(listener, channel);
    this.#membersChanged();
    return (this.#boards[channel] ??= new Board());
  }

  /** @param {Listener} listener */
  leave(listener) {
    this.#members.delete(listener);
    this.#membersChanged();
  }

  /** @param {string} channel @returns {State} */
  state(channel) {
    if (this.#refused.includes(channel)) return "offline";
    return this.#state === "live" && !this.#boards[channel]?.ready ? "connecting" : this.#state;
  }

  /** Say in the console why a banner that is offline has no lines. @param {string} channel "" if it names none */
  explain(channel) {
    const isUnknown = !channel || this.#refused.includes(channel);
    if (isUnknown || !this.#boards[channel].ready)
      withExtras(({ explain }) => explain(this.#server, channel, isUnknown));
  }

  /** Connect again, now, and take whole boards. */
  refresh() {
    this.#refused = [];
    for (const channel in this.#boards) this.#boards[channel].cursor = undefined;
    this.#start(true);
  }

  // When there is a connection, and whose

  /** Seen to a moment later: the other banners of the page join first, and one that is moved comes back. */
  #membersChanged() {
    setTimeout(() => {
      this.#askTabs();
      this.#wake();
      this.#carryAll();
    });
  }

  #wake() {
    clearTimeout(this.#restTimer);
    if (!this.#members.size) this.#stop();
    else if (document.hidden) {
      // @ts-ignore: not in every browser
      this.#restTimer = setTimeout(() => this.#stop(), navigator.connection?.saveData ? 0 : REST);
    } else if (!this.#running) this.#start();
    else for (const channel in this.#boards) this.#emit(this.#boards[channel], [], true);
  }

  #stop() {
    this.#running?.abort();
    this.#reconnect();
    this.#tabs?.close();
    this.#running = this.#attempt = this.#tabs = this.#others = undefined;
    clearTimeout(this.#watchdog);
    clearTimeout(this.#refusedTimer);
    this.#setState("connecting");
  }

  /** Follow, and lead when it is our turn. @param {boolean} [steal] now @returns {Promise<void>} */
  async #start(steal) {
    this.#stop();
    const { signal } = (this.#running = new AbortController());
    const name = "ticker:" + this.#server;
    try {
      this.#tabs = navigator.locks && new BroadcastChannel(name);
      this.#tabs.onmessage = ({ data }) => this.#onTabMessage(data);
      this.#askTabs();
      this.#watch(ANSWER);
      await navigator.locks.request(name, steal ? { steal } : { signal }, () => this.#lead(signal));
    } catch {
      if (signal.aborted) return;
      if (this.#attempt) this.#start(); // another tab took the lead: it heard nothing from us
      else this.#lead(signal); // tabs can't speak with one another here
    }
  }

  /** Try again from the first transport; no reader need hear of it. */
  #reconnect() {
    this.#transport = WEBSOCKET;
    this.#attempt?.abort(RECONNECT);
  }

  /** What we and the other tabs want; the rest is forgotten. */
  #wantedChannels() {
    return Object.keys(this.#boards).filter((channel) => {
      if ([...this.#members.values()].includes(channel) || this.#askedAt[channel] > Date.now() - REST)
        return !this.#refused.includes(channel);
      delete this.#boards[channel];
    });
  }

  /** Reconnect if the connection lacks a channel. */
  #carryAll() {
    if (this.#wantedChannels().some((channel) => this.#boards[channel] !== this.#carried[channel])) this.#reconnect();
  }

  /** Calls back when no frame has arrived. @param {number} ms */
  #watch(ms = DELAYED) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      if (ms === DELAYED) {
        if (this.#state === "live") this.#setState("delayed");
        this.#askTabs();
        this.#watch(FIRST_FRAME);
      } else if (this.#attempt) this.#attempt.abort();
      else this.#start(true);
    }, ms);
  }

  // Among tabs

  /** For whole boards, if the leader doesn't stand at the event that we stand at; and for a word from it. */
  #askTabs() {
    this.#tabs?.postMessage({
      ask: [...this.#members.values()].map((channel) => [channel, this.#boards[channel].cursor]),
    });
  }

  /** As the leader. @param {string} [frame] */
  #tellTabs(frame) {
    if (this.#attempt) this.#others?.postMessage({ state: this.#state, refused: this.#refused, frame });
  }

  /** @param {any} data */
  #onTabMessage({ ask, state, refused, frame }) {
    this.#others = this.#tabs;
    if (ask) {
      for (const [channel, cursor] of ask) {
        const board = (this.#boards[channel] ??= new Board());
        this.#askedAt[channel] = Date.now();
        if (board.cursor !== undefined && board.cursor !== cursor)
          this.#tellTabs(JSON.stringify({ ...board, now: board.now }));
      }
      this.#tellTabs();
      this.#carryAll();
    } else if (!this.#attempt) {
      this.#refused = refused;
      this.#watch();
      this.#receive(frame);
      this.#setState(state);
    }
  }

  // The leader's connection

  /** @param {AbortSignal} signal */
  async #lead(signal) {
    let failures = 0; // in a row
    this.#retryRefused();

    for (this.#transport = WEBSOCKET; !signal.aborted; ) {
      const began = Date.now();
      const { signal: ended } = (this.#attempt = new AbortController());
      let retryAfter = 0;
      try {
        await this.#connect(ended);
      } catch (/** @type {any} */ error) {
        retryAfter = Math.min(LONG, error.headers?.get("Retry-After") * SECOND) || 0;
      }

      const isHeard = this.heard > began;
      const isPolling = this.#transport === POLLING;
      if (this.heard - began > (isPolling ? 0 : FIRST_FRAME)) failures = 0;
      if (ended.reason === RECONNECT) continue;

      if (isHeard ? !isPolling : isPolling || retryAfter)
        this.#setState(isHeard && this.#state === "live" ? "connecting" : "offline");
      if (!isHeard) this.#transport = (this.#transport + 1) % 3;
      // A pause, which the watchdog ends. Full jitter:
      // https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
      const most = isHeard && isPolling ? POLL : retryAfter || BACKOFF * 2 ** Math.min(6, ++failures);
      this.#watch(retryAfter + Math.random() * most);
      await new Promise((resolve) => ((this.#attempt = new AbortController()).signal.onabort = resolve));
    }
  }

  /** Until the connection ends; by polling, once. Throws what refused it. @param {AbortSignal} signal ends it */
  async #connect(signal) {
    const channels = this.#wantedChannels();
    let live = this.#server + "/v1/live?";
    for (const channel of channels)
      live += `&channel=${encodeURIComponent(channel)}&cursor=${channel}:${this.#boards[channel].cursor ?? ""}`;
    this.#carried = { ...this.#boards };
    if (!channels.length) this.#transport = POLLING;
    this.#watch(FIRST_FRAME);
    if (this.#transport === POLLING)
      for (const channel of channels)
        await this.#fetch(boardPath(channel), signal).catch((error) => {
          if (error.status === 404) this.#refuse([channel], REFUSED);
          throw error;
        });
    else if (this.#transport === STREAM) await overHttp(live, signal, (data) => this.#receive(data));
    else {
      const code = await overWebSocket(live, signal, (data) => {
        this.#retrySocketAt = Date.now() + FIRST_FRAME;
        this.#receive(data);
      });
      if (/^(1008|44)/.test(/** @type {any} */ (code))) this.#refuse(this.#wantedChannels(), LONG);
    }
  }

  /** @param {string} path @param {AbortSignal} signal */
  #fetch(path, signal) {
    return overHttp(this.#server + path, signal, (data) => this.#receive(data));
  }

  /** @param {string[]} channels @param {number} pause until they are asked for again */
  #refuse(channels, pause) {
    this.#refused = [...new Set([...this.#refused, ...channels])];
    this.#refusedPause = pause;
    this.#retryRefused();
    this.#setState("offline");
    this.#reconnect();
  }

  /** Ask for what was refused, apart from the connection: together, one that isn't there costs all the others theirs. */
  #retryRefused() {
    clearTimeout(this.#refusedTimer);
    if (!this.#refused.length) return;
    this.#refusedTimer = setTimeout(
      async () => {
        for (const channel of this.#refused) {
          if (!this.#attempt || !this.#boards[channel]) continue;
          try {
            await this.#fetch(boardPath(channel), /** @type {AbortController} */ (this.#running).signal);
            this.#refused = this.#refused.filter((each) => each !== channel);
            this.#emit(this.#boards[channel], []);
          } catch {} // it isn't there yet, or we are offline altogether
        }
        this.#refusedPause = Math.min(LONG, this.#refusedPause * 2);
        this.#retryRefused();
        this.#carryAll();
      },
      this.#refusedPause * (0.5 + Math.random()),
    );
  }

  // Frames, and what listeners get from them

  /** @param {string} data */
  #receive(data) {
    let frame, board, result;
    try {
      frame = JSON.parse(data);
      board = this.#boards[frame.channel];
      // @ts-ignore: what isn't ours throws
      result = board[frame.type](frame);
    } catch {
      return; // none at all, a proxy's, an extension's, or of a channel that isn't shown here
    }
    const missed = !!frame.lines && this.#state !== "delayed"; // where we poll, every frame is a board
    this.heard = Date.now();
    if (this.#attempt) {
      this.#tellTabs(data); // before our state: by their own they tell whether they were away
      this.#setState(this.#transport === POLLING ? "delayed" : "live");
      this.#watch();
    }
    if (result?.map) this.#emit(board, result, missed);
    else if (board.cursor === undefined) this.#attempt?.abort();
    if (result && frame.line) return; // it came to all readers at once; beats and polls come to each in its turn
    this.#askTabs();
    if (this.heard > this.#retrySocketAt) {
      this.#retrySocketAt = this.heard + LONG;
      this.#reconnect();
    }
  }

  /** @param {any} board @param {Change[]} changes @param {boolean} [missed] */
  #emit(board, changes, missed) {
    const { channel } = board;
    for (const [listener, joined] of this.#members)
      if (joined === channel) queueMicrotask(() => listener(changes, missed));
    clearTimeout(this.#expiryTimers[channel]);
    this.#expiryTimers[channel] = setTimeout(
      () => {
        board.prune();
        this.#emit(board, []);
      },
      Math.min(LONG, ...board.lines.map((/** @type {import("./board.js").Line} */ line) => expiry(line) - board.now)),
    );
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    for (const [listener] of this.#members) queueMicrotask(listener);
    this.#tellTabs();
  }
}
