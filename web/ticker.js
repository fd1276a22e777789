// @ts-check
/**
 * Ticker: breaking lines in your page, live.
 *
 *     <script type="module" src="https://ticker.example/ticker.js"></script>
 *     <breaking-ticker channel="en"></breaking-ticker>
 *
 * Three rooms, in the order in which a line passes through them:
 *
 *     Feed ── frames ──▶ Board ── lines, changes ──▶ BreakingTicker
 *
 * Rule 1: Feed knows the connection and no DOM; Board is a pure fold; BreakingTicker knows no socket.
 * Rule 2: state is repaired, never guessed: what doesn't follow on the cursor we hold brings a new board.
 * Rule 3: what comes over the wire is text (`textContent`), never markup.
 * Rule 4: the words of a withdrawn line are nowhere: not in the DOM, not in memory.
 *
 * No cookie, no storage, no identifier, no dependency.
 *
 * @typedef {"flash"|"bulletin"|"urgent"|"update"} Urgency
 * @typedef {"usable"|"withheld"|"canceled"} Status
 * @typedef {"connecting"|"live"|"delayed"|"offline"} State
 *
 * @typedef {object} Line
 * @property {string} id
 * @property {string} channel
 * @property {string} [text]      absent on a tombstone, as are `url` and `source`
 * @property {Urgency} urgency
 * @property {Status} status
 * @property {number} version
 * @property {string} published   RFC 3339, as are the other times
 * @property {string} updated
 * @property {string|null} corrected  when its words last changed
 * @property {string|null} expires
 * @property {boolean} pinned
 * @property {string|null} [url]
 * @property {string|null} [source]
 * @property {string|null} story
 * @property {string|null} note   public reason of a correction, hold or kill
 * @property {string} language
 * @property {"ltr"|"rtl"} direction
 *
 * @typedef {{type: "board", channel: string, cursor: string|null, now: string|number, lines: Line[], title: string,
 *   label: string, language: string, direction: "ltr"|"rtl", max_lines: number}} BoardFrame
 * @typedef {{type: "line", channel: string, cursor: string, prev: string|null, line: Line}} LineFrame
 * @typedef {{type: "beat", channel: string, cursor: string|null, now: string}} BeatFrame
 *
 * @typedef {{kind: "line"|"correction"|"cancel"|"change", line: Line}} Change
 *   `line` is new; `correction` has other words, or has them again; `cancel` lost them (held or killed).
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

// Connection

const FIRST_FRAME = 10 * SECOND; // what lets nothing through for so long is no connection; what lasts longer is one
const DELAYED = 35 * SECOND; // without a frame: beats come every 20 to 25 s. FIRST_FRAME later it is dead
const ANSWER = 3 * SECOND; // a leading tab that doesn't say a word in it is frozen
const BACKOFF = 0.5 * SECOND; // doubled with every failure, six times at most
const POLL = 20 * SECOND; // at most: each pause is drawn from 0 to this, so that readers spread out
const REST = MINUTE; // after a page was last seen
const LONG = 10 * MINUTE; // between tries of a WebSocket where it fails; and the most that Retry-After can ask for

/** Ids and cursors are `MS-N`: compared number by number. */
const { compare } = new Intl.Collator("en", { numeric: true });

/** @param {Line} line @returns {number} in milliseconds; Infinity for never */
const expiry = (line) => Date.parse(/** @type {string} */ (line.expires)) || Infinity;

/** What a channel shows now: frames folded into ordered lines. Pure; the clock can be given. */
export class Board {
  // What a board frame says, by the names that it has there.
  type = "board";
  /** @type {string|undefined} */
  channel;
  title = "";
  label = "";
  language = "";
  /** @type {"ltr"|"rtl"|""} */
  direction = "";
  /** @type {any} */
  max_lines;
  /** The event we stand at: null on an empty channel, undefined when a board is wanted.
   * @type {string|null|undefined} */
  cursor;

  ready = false;
  #clock;
  /** Server's time less ours. @type {number|undefined} */
  #offset;
  #newest = "";
  /** @type {Line[]} */
  #lines = [];

  /** @param {() => number} clock milliseconds */
  constructor(clock = Date.now) {
    this.#clock = clock;
  }

  /** The server's time, in milliseconds. */
  get now() {
    return this.#clock() + (this.#offset || 0);
  }

  /** @returns {Line[]} in order: pinned first, then newest first */
  get lines() {
    let room = this.max_lines;
    return this.#lines
      .filter((line) => expiry(line) > this.now)
      .sort((a, b) => /** @type {any} */ (b.pinned) - /** @type {any} */ (a.pinned) || compare(b.id, a.id))
      .filter((line) => line.status !== "usable" || room-- > 0);
  }

  /** Milliseconds until the next line expires; Infinity when none does. */
  get nextExpiry() {
    return Math.min(...this.#lines.map(expiry)) - this.now;
  }

  /** As a board frame, for another tab. */
  toJSON() {
    return { ...this, now: this.now, lines: this.lines };
  }

  /** Forget what shows no more. */
  prune() {
    this.#lines = this.lines;
  }

  /**
   * Take a whole board in place of all we hold.
   * @param {BoardFrame} frame
   * @param {boolean} [cached] whether it may come out of a cache, so that its `now` may be old
   * @returns {Change[]} oldest first; none for the first board: it is where we start, not news
   */
  replace(frame, cached) {
    const { ready } = this;
    const before = this.#lines;
    frame.lines.sort((a, b) => compare(a.id, b.id));
    for (const name in this) this[name] = /** @type {any} */ (frame)[name];
    this.ready = true;
    this.#setClock(frame.now, cached);
    this.#lines = [];
    const changes = frame.lines.flatMap((line) => this.#put(line, before));
    this.prune();
    return ready ? changes : [];
  }

  /**
   * Take one event.
   * @param {LineFrame} frame
   * @returns {Change[]|"gap"}
   */
  apply({ cursor, prev, line }) {
    if (cursor === this.cursor) return [];
    if (prev !== this.cursor) return this.#gap();
    const changes = this.#put(line, this.#lines, true);
    this.cursor = cursor;
    this.prune();
    return changes;
  }

  /**
   * @param {BeatFrame} frame
   * @returns {"gap"|undefined}
   */
  beat({ cursor, now }) {
    this.#setClock(now);
    if (cursor !== this.cursor) return this.#gap();
  }

  #gap() {
    this.cursor = undefined;
    return /** @type {const} */ ("gap");
  }

  /** @param {string|number} time @param {boolean} [cached] */
  #setClock(time, cached) {
    const offset = /** @type {any} */ (new Date(time)) - this.#clock();
    // @ts-ignore: undefined is no greater
    if (!cached || !(this.#offset > offset)) this.#offset = offset;
  }

  /**
   * @param {Line} line
   * @param {Line[]} held until now
   * @param {boolean} [event] rather than part of a board
   * @returns {Change[]} one or none
   */
  #put(line, held, event) {
    const before = held.find(({ id }) => id === line.id);
    if (!(line.id > "")) return []; // not ours
    const newer = compare(line.id, this.#newest) > 0;
    const usable = line.status === "usable";
    if (newer) this.#newest = line.id;
    if (!usable) {
      // The server left its words out; see that they are.
      const { text, url, source, corrected, ...tombstone } = line;
      line = /** @type {Line} */ (tombstone);
    }
    this.#lines = [...this.#lines.filter((each) => each !== before), line];
    const touched = before ? before.status !== line.status || before.corrected !== line.corrected : event;
    /** @type {Change["kind"]|undefined|false} */
    const kind =
      usable && newer && !before
        ? "line"
        : touched
          ? usable
            ? "correction"
            : "cancel"
          : before && before.version !== line.version && "change";
    return kind ? [{ kind, line }] : [];
  }
}

/** @param {number} ms @param {AbortSignal} signal one not yet aborted @returns {Promise<unknown>} early when it is */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    signal.onabort = resolve;
    setTimeout(resolve, ms);
  });

const QUIET = 0; // why a connection was ended: there is something better to do

/** @type {Record<string, Feed>} */
const feeds = {};

/**
 * One connection to one server, for all its channels that a page shows; and for all tabs of the site, where the
 * browser lets them speak with one another. Knows no DOM.
 *
 *     WebSocket ──fails──▶ SSE ──fails──▶ polling
 *         ▲───after 35 s, then every 10 min───┘
 *
 * The tab that holds the Web Lock leads: it connects, and passes on what it takes over a BroadcastChannel. The
 * others follow, and ask it for what they miss. When it goes, the next one leads, from the cursor that it holds
 * itself. Only tabs that can be seen, or could a minute ago, lead or follow. Where tabs can't speak, each leads.
 *
 * Events: `board` with `{channel, changes, missed}` when a board changed, `missed` where the changes came as a
 * whole board after an absence; `state` when the connection did.
 */
export class Feed extends EventTarget {
  /** The page's one feed of a server. @param {string} server base URL, no slash at its end */
  static at(server) {
    return (feeds[server] ??= new Feed(server));
  }

  /** When the last frame came, in our clock's milliseconds; until then, when we began. */
  heard = Date.now();

  #server;
  /** @type {Record<string, Board>} */
  #boards = /** @type {any} */ ({ __proto__: null });
  /** How many banners of this page joined. @type {Record<string, number>} */
  #members = /** @type {any} */ ({ __proto__: null });
  /** When another tab last asked. @type {Record<string, number>} */
  #asked = /** @type {any} */ ({ __proto__: null });
  /** What the connection carries, and whether a frame of it came. @type {Record<string, boolean>} */
  #carried = {};
  /** What the server told us to ask for no more. @type {string[]} */
  #refused = [];
  /** @type {State} */
  #state = "connecting";
  #polling = false;
  /** Ends all that we do. @type {AbortController|undefined} */
  #running;
  /** Ends what the leader waits for, a connection or a pause. Undefined: we follow.
   * @type {AbortController|undefined} */
  #attempt;
  /** @type {BroadcastChannel|undefined} */
  #tabs;
  /** @type {number|undefined} */
  #watchdog;
  /** @type {number|undefined} */
  #expiry;
  /** @type {number|undefined} */
  #rest;

  /** @param {string} server */
  constructor(server) {
    super();
    this.#server = server;
    addEventListener("pagehide", () => this.#stop()); // or the page would be kept out of the back/forward cache
    addEventListener("pageshow", () => this.#wake());
    addEventListener("visibilitychange", () => this.#wake());
    addEventListener("online", () => this.#again());
  }

  /** @param {string} channel @returns {Board} */
  join(channel) {
    this.#count(channel, 1);
    return this.#board(channel);
  }

  /** @param {string} channel */
  leave(channel) {
    this.#count(channel, -1);
  }

  /** @param {string} channel @returns {State} */
  state(channel) {
    if (this.#refused.includes(channel)) return "offline";
    return this.#state === "live" && !this.#boards[channel]?.ready ? "connecting" : this.#state;
  }

  /** Connect anew, now, and take whole boards. */
  refresh() {
    this.#refused = [];
    for (const channel in this.#boards) this.#boards[channel].cursor = undefined;
    this.#run(true);
  }

  /** @param {string} channel */
  #board(channel) {
    return (this.#boards[channel] ??= new Board());
  }

  /** Try again from the top; no reader need hear of it. */
  #again() {
    this.#attempt?.abort(QUIET);
  }

  /** @param {string} channel @param {1|-1} by */
  #count(channel, by) {
    this.#members[channel] = (this.#members[channel] || 0) + by;
    // The other banners of the page join first, and one that is moved comes back.
    queueMicrotask(() => {
      if (!this.#members[channel]) delete this.#members[channel];
      this.#ask();
      this.#wake();
      this.#carry();
    });
  }

  /** What we and the other tabs want; the rest is forgotten. */
  get #wanted() {
    return Object.keys(this.#boards).filter((channel) => {
      if (channel in this.#members || this.#asked[channel] > Date.now() - REST) return !this.#refused.includes(channel);
      delete this.#boards[channel];
      delete this.#carried[channel];
    });
  }

  #carry() {
    if (this.#wanted.some((channel) => !(channel in this.#carried))) this.#again();
  }

  // When there is a connection, and whose

  #wake() {
    clearTimeout(this.#rest);
    // @ts-ignore: not in every browser
    const rest = navigator.connection?.saveData ? 0 : REST;
    if (!Object.keys(this.#members).length) this.#stop();
    else if (document.hidden) this.#rest = setTimeout(() => this.#stop(), rest);
    else if (!this.#running) this.#run();
  }

  #stop() {
    this.#running?.abort();
    this.#attempt?.abort();
    this.#tabs?.close();
    this.#running = this.#attempt = this.#tabs = undefined;
    clearTimeout(this.#watchdog);
    this.#setState("connecting");
  }

  /** Follow, and lead when it is our turn. @param {boolean} [steal] now @returns {Promise<void>} */
  async #run(steal) {
    this.#stop();
    const name = "ticker:" + this.#server;
    const { signal } = (this.#running = new AbortController());
    try {
      this.#tabs = navigator.locks && new BroadcastChannel(name);
      this.#tabs.onmessage = ({ data }) => this.#hear(data);
      this.#ask(true);
      this.#watch(ANSWER);
      await navigator.locks.request(name, steal ? { steal } : { signal }, () => this.#lead(signal));
    } catch {
      if (signal.aborted) return;
      if (this.#attempt) this.#run(); // another tab took the lead: it heard nothing from us
      else this.#lead(signal); // tabs can't speak with one another here
    }
  }

  // Among tabs

  /** @param {boolean} [whole] whether boards are wanted whatever we hold: one may have changed at its cursor */
  #ask(whole) {
    const ask = Object.keys(this.#members).map((channel) => [channel, whole || this.#board(channel).cursor]);
    this.#tabs?.postMessage({ ask });
  }

  /** @param {string} [data] a frame @param {boolean} [missed] */
  #tell(data, missed) {
    if (this.#attempt) this.#tabs?.postMessage({ state: this.#state, refused: this.#refused, data, missed });
  }

  /** @param {any} message */
  #hear({ ask, state, refused, data, missed }) {
    if (ask) {
      for (const [channel, cursor] of ask) {
        this.#asked[channel] = Date.now();
        const board = this.#board(channel);
        if (board.cursor !== undefined && board.cursor !== cursor) this.#tell(JSON.stringify(board), true);
      }
      this.#tell();
      this.#carry();
    } else if (!this.#attempt) {
      this.#refused = refused;
      this.#setState(state);
      this.#watch();
      this.#receive(data, missed);
    }
  }

  // The leader's

  /** @param {AbortSignal} signal */
  async #lead(signal) {
    let rung = 0; // of the ladder: WebSocket, SSE, polling
    let failures = 0; // in a row
    let climb = DELAYED; // on a lower rung, until a WebSocket is tried again

    while (!signal.aborted) {
      const attempt = (this.#attempt = new AbortController());
      const began = Date.now();
      this.#carried = /** @type {any} */ ({ __proto__: null });
      const query = this.#wanted.map((channel) => {
        this.#carried[channel] = false;
        return `channel=${encodeURIComponent(channel)}&cursor=${channel}:${this.#board(channel).cursor ?? ""}`;
      });
      const path = "/v1/live?" + query.join("&");
      const climbing = setTimeout(() => rung && this.#again(), climb);
      let failed;
      let retry = 0;
      this.#polling = rung > 1 || !query.length;
      this.#watch(FIRST_FRAME);
      try {
        if (this.#polling) await this.#poll(attempt.signal);
        else if (rung) await this.#events(path, attempt.signal);
        else await this.#socket(path, attempt.signal);
      } catch (/** @type {any} */ error) {
        failed = !attempt.signal.aborted;
        retry = Math.min(LONG, error.headers?.get("Retry-After") * SECOND) || 0;
      }
      if (signal.aborted) return;
      clearTimeout(climbing);
      clearTimeout(this.#watchdog);

      const heard = this.heard > began;
      if (heard) climb = rung ? LONG : DELAYED;
      if (attempt.signal.reason === QUIET) {
        rung = 0;
        continue;
      }
      if (failed || rung > 1) this.#setState("offline");
      else if (heard) this.#setState("connecting");
      if (retry) rung = 0;
      else if (!heard) rung = (rung + 1) % 3;
      if (this.heard - began > FIRST_FRAME) failures = 0;
      // Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
      const most = Math.max(retry, BACKOFF * 2 ** Math.min(6, ++failures));
      await pause(retry + Math.random() * most, (this.#attempt = new AbortController()).signal);
    }
  }

  /** @param {string} path @param {AbortSignal} signal @returns {Promise<void>} */
  #socket(path, signal) {
    return new Promise((resolve) => {
      const socket = new WebSocket(this.#server.replace("http", "ws") + path);
      socket.onmessage = ({ data }) => this.#receive(data);
      socket.onclose = ({ code }) => {
        if (/^(1008|44)/.test(/** @type {any} */ (code))) this.#refuse(...Object.keys(this.#carried));
        resolve();
      };
      signal.onabort = () => {
        socket.close();
        resolve();
      };
    });
  }

  /** @param {string} path @param {AbortSignal} signal */
  async #events(path, signal) {
    const { body } = await this.#get(path, signal);
    let rest = "";
    /** @param {string} text */
    const write = (text) => {
      const lines = (rest + text).split("\n");
      rest = /** @type {string} */ (lines.pop());
      for (const line of lines) this.#receive(line.slice(5)); // without its "data:"; what else there is isn't JSON
    };
    const stream = /** @type {ReadableStream} */ (body).pipeThrough(new TextDecoderStream());
    await stream.pipeTo(new WritableStream({ write }));
  }

  /** @param {AbortSignal} signal */
  async #poll(signal) {
    for (; !signal.aborted; await pause(Math.random() * POLL, signal)) {
      for (const channel in this.#carried) {
        this.#receive(
          await (await this.#get(`/v1/channels/${encodeURIComponent(channel)}/lines`, signal, channel)).text(),
        );
      }
    }
  }

  /** @param {string} path @param {AbortSignal} signal @param {string} [channel] @returns {Promise<Response>} */
  async #get(path, signal, channel) {
    const response = await fetch(this.#server + path, {
      cache: "no-cache", // the browser asks with If-None-Match; set by hand it would cost a CORS preflight
      credentials: "omit",
      headers: { accept: "text/event-stream, */*" },
      signal,
    });
    if (channel && response.status === 404) this.#refuse(channel);
    if (!response.ok) throw response;
    return response;
  }

  // Frames

  /** @param {string} data @param {boolean} [missed] */
  #receive(data, missed) {
    let frame, board, result;
    try {
      frame = JSON.parse(data);
      board = this.#boards[frame.channel];
      // @ts-ignore: what isn't ours throws
      result = board[{ board: "replace", line: "apply", beat: "beat" }[frame.type]](frame, this.#polling);
    } catch {
      return; // none at all, a proxy's, an extension's, or of a channel that isn't shown here
    }
    const { channel } = frame;
    this.heard = Date.now();
    if (this.#attempt) {
      missed = !this.#carried[channel];
      this.#carried[channel] = true;
      this.#setState(this.#polling ? "delayed" : "live");
      this.#watch();
      this.#tell(frame.type === "board" ? JSON.stringify(board) : data, missed);
    }
    if (result?.map) return this.#emit(channel, result, missed);
    if (result) this.#attempt?.abort();
    this.#ask();
  }

  /** @param {string} channel @param {Change[]} changes @param {boolean} [missed] */
  #emit(channel, changes, missed) {
    this.dispatchEvent(new CustomEvent("board", { detail: { channel, changes, missed } }));
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(
      () => {
        for (const channel in this.#boards) {
          this.#boards[channel].prune();
          this.#emit(channel, [], false);
        }
      },
      Math.min(LONG, ...Object.values(this.#boards).map((board) => board.nextExpiry)),
    );
  }

  // What we say of ourselves

  /** @param {string[]} channels */
  #refuse(...channels) {
    this.#refused.push(...channels);
    this.#setState("offline");
    this.#again();
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
    this.#tell();
  }

  /** Be told when nothing is heard. @param {number} ms */
  #watch(ms = DELAYED) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      if (ms === DELAYED) {
        if (this.#state === "live") this.#setState("delayed");
        this.#ask();
        this.#watch(FIRST_FRAME);
      } else if (this.#attempt) this.#attempt.abort();
      else this.#run(true);
    }, ms);
  }
}

// Banner

const DWELL = 6 * SECOND; // a line's turn in rotate mode,
const DWELL_PER_CHARACTER = 60; // or as long as it takes to read it aloud
const SPEED = 80; // pixels per second on the belt, the same for all
const BELT = 0.5 * SECOND; // between two looks whether there is room on it
const RETRACTION_ROTATES = 15 * MINUTE; // rotate and scroll show what was withdrawn lately; list shows all of it
const REFRESH_TIMES = 15 * SECOND;
const UNITS = { second: Infinity, minute: 1, hour: 60, day: 1440 }; // in minutes; what is less than one is now
const SAY_AFTER = 0.5 * SECOND; // a burst is announced as one
const SAY_AT_MOST = 3; // the newest of a burst
const SAID_FOR = 10 * SECOND; // then the live region is emptied
const URGENCIES = ["flash", "bulletin", "urgent", "update"];
const RIGHT_TO_LEFT = /^(ar|ckb|dv|fa|he|ps|sd|ug|ur|yi)\b/i;

// Words of the banner itself, in English. Another language's (web/words.json) are one small file of the server's,
// asked for when a banner first speaks it.

/** @typedef {typeof ENGLISH} Words */
const ENGLISH = {
  label: "Breaking", // until the board has brought its own
  corrected: "Corrected",
  canceled: "Retracted",
  withheld: "On hold",
  delayed: "Delayed",
  offline: "Offline since",
  empty: "No breaking news right now",
  previous: "Previous",
  next: "Next",
  pause: "Pause",
  resume: "Resume",
  fresh: "New",
  close: "Close",
  away: "While you were away",
};

/** By the address that they come from. @type {Record<string, Promise<Partial<Words>>>} */
const vocabularies = {};

/**
 * An element; its name is its class and its part.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {object|false} [properties]
 * @param {...(string|Node)} children
 */
const make = (tag, name, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), { className: name, part: name }, properties);
  made.append(...children);
  return made;
};

/** @param {Node} node @param {string} text */
const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * The page's one live region, in the light DOM and empty until something is said (WCAG 2.2, 4.1.3).
 * @type {HTMLElement}
 */
let voice;
let listeners = 0;
let breath = 0;
/** To be said next, as one: by line. @type {Map<string, Node>} */
const sentence = new Map();

/** @param {number} by how many banners more */
const listen = (by) => {
  // By CSSOM, not by a style attribute: the page's Content-Security-Policy may forbid those.
  voice ??= make("div", "ticker-voice", { ariaLive: "polite", style: "position:fixed!important;clip-path:inset(50%)!important" });
  if ((listeners += by)) document.body.append(voice);
  else voice.remove();
};

/**
 * @param {(Change|Change[]) & {said?: boolean}} what several banners may bring, and is said once
 * @param {string} key of its line: what was said of that before holds no more
 * @param {boolean} alert now, rather than with what else comes
 * @param {...Node} words
 */
const say = (what, key, alert, ...words) => {
  if (what.said) return;
  what.said = true;
  const part = make("p", "", alert && { role: "alert" }, ...words);
  voice.replaceChildren();
  sentence.delete(key);
  if (alert) voice.append(part);
  else sentence.set(key, part);
  clearTimeout(breath);
  breath = setTimeout(() => {
    voice.append(...[...sentence.values()].slice(-SAY_AT_MOST));
    sentence.clear();
    breath = setTimeout(() => voice.replaceChildren(), SAID_FOR);
  }, SAY_AFTER);
};

const STYLE = `
:host { display: block }
:host([sticky]) { position: sticky !important; top: 0; z-index: var(--ticker-z-index,9) }
:host([sticky="bottom"]) { top: auto; bottom: 0 }
:host([hidden]), [hidden],
.frame:not(.rotate) .controls :not(.pause, .close), :host([controls="none"]) .controls :not(.pause, .close),
:host(:not([dismissible])) .close, :host([hide-when-empty]) .frame:not(:has(li)), .stage:has(li) .empty {
  display: none !important }
* { all: unset; box-sizing: border-box; unicode-bidi: isolate }

.frame {
  --accent: var(--ticker-accent,#b3131b);
  --on: var(--ticker-on-accent,#fff);
  --surface: var(--ticker-surface,light-dark(#fff,#17191d));
  --ink: var(--ticker-ink,light-dark(#15171a,#f2f3f5));
  --dim: var(--ticker-muted,light-dark(#5a606a,#a8aeb8));
  --rule: 1px solid var(--ticker-rule,light-dark(#dcdfe4,#353941));
  --red: light-dark(var(--accent),color-mix(in oklab,var(--accent),#fff 52%));
  all: initial;
  display: block;
  container-type: inline-size;
  font: inherit;
  color-scheme: inherit;
  font-family: var(--ticker-font,inherit);
  line-height: 1.4;
}
:host([theme="light"]) .frame { color-scheme: light }
:host([theme="dark"]) .frame { color-scheme: dark }

.bar {
  display: grid;
  grid: 4.5em / fit-content(40%) minmax(0,1fr) auto;
  border-block: var(--rule);
  background: var(--surface);
  color: var(--ink);
}
:focus-visible { outline: 2px solid; outline-offset: -3px }
a, button { cursor: pointer }
a:hover { text-decoration: underline }
button { min-width: 44px; min-height: 44px; font-size: 1.25em; text-align: center }
.position { min-width: 3.5em; text-align: center; white-space: nowrap }
.head { position: relative; overflow: hidden; display: flex; align-items: center; min-width: 9em; padding-inline: var(--ticker-gutter,1em);
  border-inline-end: 1px solid #0000; background: var(--accent); color: var(--on) }
.label { font-weight: 800; text-transform: uppercase }
.label::before { content: "● " / "" }
:host(:not([state="live"])) .label::before { content: "○ " / "" }
.state, .fresh { position: absolute; inset: auto var(--ticker-gutter,1em) 0; padding: .3em 0; font-size: .7em }
.fresh { align-content: end; text-align: end }
.controls { order: 1; display: flex; align-items: center; color: var(--dim) }
.stage { position: relative; z-index: var(--z) }
.label, .time, .mark, .source, .note, .position, .pause { font-size: .8em }
.time, .source, .note, .empty { color: var(--dim) }
.mark { padding: 0 .4em; border: 1px solid }
.label, .words { overflow-wrap: anywhere }
li, .empty, .wait, .away { display: grid; align-content: center; position: absolute; inset: 0; padding-inline: var(--ticker-gutter,1em) }
.text, .away, .fresh { font-weight: 600 }
.away { background: var(--surface) }

.frame:not(.list) li:not(.on) { visibility: hidden; opacity: 0 }
.words { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: var(--rows,2); overflow: hidden; font-size: 1.1em }
.rotate:not(:has(li + li)) .controls :not(.pause, .close) { visibility: hidden }
/* A line that is too long for its place is read in full, over what is below, by pointing at it or going there. */
.rotate .bar:is(:hover, :focus-within) { --rows: 9; --z: 1 }
.rotate .on { bottom: auto; min-height: calc(100% + 1px); border-block-end: var(--rule); background: var(--surface) }
.rotate .bar:has(.on[data-urgency="flash"] .text) { --surface: var(--accent); --ink: var(--on); --dim: var(--on) }

.scroll .bar { grid-template-rows: 3.5em }
.scroll .stage { overflow: clip }
.scroll li { width: max-content; padding-inline-end: 3em }
.frame:not(.rotate) .words { display: block }
.scroll .words { white-space: nowrap; text-overflow: ellipsis }

@container (width < 42em) {
.bar{grid:max(44px,2.75em)5.5em/minmax(0,1fr)auto;--rows:3}.head{min-width:0}.stage{order:2;grid-column:1/3}
.scroll .bar{grid-template-rows:max(44px,2.75em)3em}.controls{background:var(--accent);color:var(--on)}}

.list .bar { grid: max(44px,2.75em) minmax(0, 1fr) / minmax(0,1fr) auto;
  height: var(--ticker-block-size,var(--max)); border-top: 3px solid var(--accent) }
.list :is(.head, .controls) { background: none; color: var(--red) }
.list .stage { order: 2; grid-column: 1/3; overflow: auto; }
.list :is(li, .empty, .wait, .away) { position: static; padding-block: .8em; border-top: var(--rule) }
.list .text { display: block }
[data-urgency="update"] .text { font-weight: 400 }
.frame:not(.rotate) [data-urgency="flash"] .text { color: var(--red) }
.list .away { position: sticky }

@media (prefers-reduced-motion: no-preference) {
.rotate li{transition:.2s}.list .new{animation:new 1s}@keyframes new{0%{opacity:0}}}
`;

/** @typedef {{item: HTMLLIElement, line: Line, time: HTMLTimeElement, motion?: Animation}} Row */

/** @type {CSSStyleSheet|undefined} */
let sheet;

/** What is inside a banner. @param {HTMLElement} host @param {ElementInternals} internals */
const inside = (host, internals) => {
  /** Of the channel, while there is one. @type {any} */
  let board;
  /** Its connection. @type {Feed} */
  let feed;
  /** Ends what reaches out of the banner, while it is on a channel. @type {AbortController|undefined} */
  let joined;
  let server = "";
  let channel = "";
  let tongue = "en";
  let dir = "";
  let words = ENGLISH;
  /** "rotate", "list" or "scroll". */
  let mode = "";

  /** What is in the list, by id. @type {Map<string, Row>} */
  const rows = new Map();
  /** What the reader may see now, in order. @type {Line[]} */
  let lines = [];
  /** Ids of lines that came while the reader held the banner still. @type {string[]} */
  let held = [];
  /** Ids of what is to be shown next: kills before all. @type {string[]} */
  let queue = [];
  /** Whose turn it is, and its place. */
  let current = "";
  let turn = 0;
  /** What came onto the belt last, and for how long. @type {Animation|undefined} */
  let last;
  let duration = 0;
  let paused = false;
  let dismissed = false;
  let dwell = 0;

  // The tree

  /** @param {string} name @param {string} sign @param {() => void} onclick */
  const button = (name, sign, onclick) => make("button", name, { onclick }, sign);
  const label = make("slot", "label", { name: "label" });
  const status = make("span", "state");
  const fresh = button("fresh", "", () => release());
  const list = make("ol", "lines", { role: "list" }); // list-style: none costs the role in Safari
  const empty = make("slot", "empty", { name: "empty" });
  const wait = make("slot", "wait");
  const away = make("p", "away", { hidden: true });
  const stage = make("div", "stage", { onscroll: () => steer() }, wait, empty, list, away);
  const position = make("span", "position");
  const pause = button("pause", "", () => hold(!paused));
  const controls = make(
    "div",
    "controls",
    false,
    button("previous", "‹", () => step(-1)),
    position,
    button("next", "›", () => step(1)),
    pause,
    button("close", "×", () => {
      dismissed = true;
      render();
    }),
  );
  const bar = make("section", "bar", false, make("div", "head", false, label, status, fresh), controls, stage);
  const frame = make("div", "frame", false, bar);
  const root = host.attachShadow({ mode: "open" });
  if (!sheet) {
    sheet = new CSSStyleSheet(); // a <style> would need style-src 'unsafe-inline'
    sheet.replaceSync(STYLE);
  }
  root.adoptedStyleSheets = [sheet];
  root.append(frame);
  for (const type of ["pointerenter", "pointerleave", "focusin", "focusout"]) bar.addEventListener(type, () => steer());

  // The channel

  /** @param {string} name */
  const attribute = (name) => host.getAttribute(name) ?? "";

  const join = () => {
    const { signal } = (joined = new AbortController());
    channel = attribute("channel");
    mode = attribute("mode");
    if (mode !== "list" && (mode !== "scroll" || calm())) mode = "rotate";
    server = new URL(import.meta.url).origin;
    try {
      server = new URL(attribute("src") || server, document.baseURI).href.replace(/\/+$/, "");
    } catch {} // no address: as if there were none
    if (channel) {
      feed = Feed.at(server);
      board = feed.join(channel);
      feed.addEventListener("state", () => render(), { signal });
      const onboard = (/** @type {any} */ { detail }) => detail.channel === channel && take(detail);
      feed.addEventListener("board", onboard, { signal });
      const clock = setInterval(tellTimes, REFRESH_TIMES);
      signal.onabort = () => {
        feed.leave(channel);
        clearInterval(clock);
        clearTimeout(dwell);
      };
      render();
    }
  };

  /** @returns {boolean} whether there was something to leave */
  const leave = () => {
    if (!joined) return false;
    joined.abort();
    joined = board = undefined;
    held = queue = [];
    clear();
    return true;
  };

  /** @param {string} type @param {{line: Line}|{state: State}} detail @returns {boolean} false when canceled */
  const tell = (type, detail) =>
    host.dispatchEvent(new CustomEvent(`ticker:${type}`, { bubbles: true, composed: true, cancelable: true, detail }));

  /** @param {{changes: Change[], missed?: boolean}} news `missed` while nobody looked, or none could hear */
  const take = ({ changes: all, missed }) => {
    const changes = all.filter(({ line }) => wants(line));
    const of = (/** @type {string} */ wanted) =>
      changes.filter(({ kind }) => kind === wanted).map(({ line }) => line.id);
    const arrived = of("line");
    const mended = of("correction");
    const killed = of("cancel");
    const flash = changes.some(({ kind, line }) => kind === "line" && line.urgency === "flash");
    const stay = paused || focused() || (still() && !flash);
    if (flash) dismissed = false;
    if (stay) held.push(...arrived);
    else if (flash) clear(); // the belt starts anew, with the flash
    queue = [...killed, ...(missed ? mended : []), ...arrived.reverse(), ...queue];
    if (missed && changes.length) {
      const counts = [words.away, count("fresh", arrived), count("corrected", mended), count("canceled", killed)];
      write(away, counts.filter(Boolean).join(" · "));
      away.hidden = false;
    }
    render(!stay, (id) => missed || killed.includes(id));
    for (const change of missed ? changes.reverse() : changes) {
      const { kind, line } = change;
      const { id, status, text, note } = line;
      if (kind === "change") continue;
      tell(kind, { line });
      const kill = kind === "cancel";
      if (dismissed || !(rows.has(id) || held.includes(id))) continue;
      const what = kill ? words[/** @type {"canceled"} */ (status)] : kind === "line" ? label.textContent : words.corrected;
      say(change, line.channel + id, kill, own("span", "", `${what}: `), own("span", "", (kill ? note : text) ?? "", line));
    }
    if (missed && changes.length && !dismissed) {
      say(all, channel, false, own("span", "", /** @type {string} */ (away.textContent)));
    }
  };

  // Words, numbers, times

  /**
   * An element in the language of a line, or else of the banner.
   * @template {keyof HTMLElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {string} name
   * @param {string} content
   * @param {{language: string, direction: string}} [of]
   */
  const own = (tag, name, content, of = { language: tongue, direction: dir }) =>
    make(tag, name, { lang: of.language, dir: of.direction }, content);

  /** @param {number} n */
  const number = (n) => n.toLocaleString(tongue);

  /** @param {"fresh"|"corrected"|"canceled"} name @param {string[]} ids */
  const count = (name, { length }) => (length ? `${words[name]}: ${number(length)}` : "");

  const tellTimes = () => {
    const relative = new Intl.RelativeTimeFormat(tongue, { numeric: "auto", style: "short" });
    for (const { time, line } of rows.values()) {
      const ago = (board.now - Date.parse(line.published)) / MINUTE;
      let unit = /** @type {"second"} */ ("second");
      for (const each in UNITS) if (ago >= UNITS[/** @type {"second"} */ (each)]) unit = /** @type {"second"} */ (each);
      write(time, relative.format(-Math.floor(ago / UNITS[unit]), unit));
    }
  };

  /** Language, direction and label. */
  const speak = () => {
    const lang = attribute("lang");
    let spoken = "en";
    try {
      [spoken = "en"] = Intl.getCanonicalLocales(lang || board.language);
    } catch {} // no language: English
    const from = attribute("dir") || (!lang && board.direction) || (RIGHT_TO_LEFT.test(spoken) ? "rtl" : "ltr");
    if (spoken !== tongue || dir !== from) {
      clear();
      frame.lang = tongue = spoken;
      frame.dir = dir = from;
      words = ENGLISH;
      const base = spoken.split("-")[0];
      const url = `${server}/words/${base}.json`;
      if (base !== "en") {
        (vocabularies[url] ??= fetch(url, { credentials: "omit" }).then((response) => response.json())).then(
          (theirs) => {
            if (tongue !== spoken) return;
            words = { ...ENGLISH, ...theirs };
            clear();
            render();
          },
          () => {}, // English stays
        );
      }
    }
    write(label, (bar.ariaLabel = attribute("label") || board.label || words.label));
    write(empty, words.empty);
  };

  /** How the connection is. */
  const confess = () => {
    const state = feed.state(channel);
    const since = new Date(feed.heard).toLocaleTimeString(tongue, { timeStyle: "short" });
    write(status, { delayed: words.delayed, offline: `${words.offline} ${since}` }[/** @type {"offline"} */ (state)] ?? "");
    if (attribute("state") === state) return;
    host.setAttribute("state", state);
    internals.states.clear();
    internals.states.add(state);
    tell("state", { state });
  };

  // Rendering

  /** Whether it is urgent enough for this banner. @param {Line} line */
  const wants = ({ urgency }) =>
    URGENCIES.indexOf(urgency) < (URGENCIES.indexOf(attribute("min-urgency")) + 1 || Infinity);

  /**
   * Make the DOM what board and attributes say.
   * @param {boolean} [news] what is in the queue has its turn
   * @param {(id: string) => boolean|undefined} [gone] whether a line's words may not stay until they are out of sight
   */
  const render = (news, gone) => {
    if (!board) return;
    const { ready } = board;
    const still = mode === "list";
    frame.className = `frame ${mode}`;
    speak();

    const max = +attribute("max") || Infinity;
    const lately = still ? 0 : board.now - RETRACTION_ROTATES;
    let room = max;
    lines = board.lines.filter(
      (/** @type {Line} */ line) =>
        wants(line) &&
        !held.includes(line.id) &&
        (line.status === "usable" ? room-- > 0 : room > 0 && Date.parse(line.updated) > lately),
    );
    // What the page put inside may hold words that were withdrawn since.
    for (const child of [...host.childNodes]) if (ready && !(/** @type {Element} */ (child).slot)) child.remove();
    wait.hidden = ready;
    empty.hidden = !ready;
    frame.hidden = dismissed;
    stage.tabIndex = still ? 0 : -1; // to scroll by keyboard
    bar.style = `--max:${Math.min(5 * max + 3, 34)}em`;

    const ids = lines.map(({ id }) => id);
    // A list steps down for what is new: built anew, for a browser counts it as a shift when rows are moved.
    if (still && news && queue.some((id) => !rows.has(id))) clear();
    for (const [id, { motion }] of rows) if (!ids.includes(id) && (!motion || gone?.(id))) drop(id);
    lines.forEach((line, index) => {
      const { id } = line;
      let row = rows.get(id);
      if (!row) rows.set(id, (row = /** @type {any} */ ({ item: make("li", queue.includes(id) ? "line new" : "line") })));
      if (row.line !== line) fill(row, line);
      const there = list.children[index];
      if (there !== row.item) list.insertBefore(row.item, there);
    });
    tellTimes();
    if (still) queue = [];
    const id = (news && queue.find((id) => ids.includes(id))) || current;
    show(ids.includes(id) ? id : ids[Math.min(turn, ids.length - 1)]);
    confess(); // at last: whoever hears of it may remove the banner
  };

  /** @param {string} id */
  const drop = (id) => {
    rows.get(id)?.item.remove();
    rows.delete(id);
  };

  const clear = () => {
    last = undefined;
    rows.clear();
    list.replaceChildren();
  };

  /** @param {Row} row @param {Line} line */
  const fill = (row, line) => {
    const { status, text, url, source, note } = line;
    const mark = status === "usable" ? line.corrected && "corrected" : status;
    const onclick = (/** @type {Event} */ event) => tell("open", { line }) || event.preventDefault();
    const link = /^https?:/i.test(/** @type {string} */ (url));
    const parts = [
      (row.time = Object.assign(own("time", "time", ""), { dateTime: line.published })),
      mark && own("bdi", "mark", words[mark]),
      text && make(link ? "a" : "span", "text", link && { href: url, rel: "noopener", onclick }, text),
      source && make("bdi", "source", false, source),
      note && make("bdi", "note", false, note),
    ];
    row.line = line;
    Object.assign(row.item, { lang: line.language, dir: line.direction }).dataset.urgency = line.urgency;
    row.item.replaceChildren(make("p", "words", false, ...parts.flatMap((part) => (part ? [part, " "] : []))));
  };

  // Holding still, and moving on. What a reader points at or has focused stays (WCAG 2.2, 2.2.2)

  const focused = () => root.querySelector(":focus-visible"); // a click leaves focus behind: not that
  const still = () => paused || root.querySelector(":hover") || focused() || (mode === "list" && stage.scrollTop > 2);

  /** @param {boolean} on */
  const hold = (on) => {
    paused = on;
    steer();
  };

  /** Show what was held back. */
  const release = () => {
    held = [];
    stage.scrollTop = 0;
    render(true);
  };

  /** Move on, or stay: whatever the reader, the lines and the mode say now. */
  const steer = () => {
    const stay = still();
    if (held.length && !stay) return release();
    for (const each of controls.children) each.ariaLabel = words[/** @type {"next"} */ (each.className)];
    if (paused) pause.ariaLabel = words.resume;
    write(pause, paused ? "►" : "||");
    write(fresh, count("fresh", held));
    fresh.hidden = !held.length;
    for (const { motion } of rows.values()) motion?.[stay ? "pause" : "play"]();

    clearTimeout(dwell);
    const by = away.hidden ? 1 : 0;
    if (!board || (by && (stay || calm()))) return;
    let after = Math.max(DWELL, DWELL_PER_CHARACTER * (lines[turn]?.text?.length ?? 0));
    if (by && mode === "scroll") {
      run();
      after = BELT;
    }
    dwell = setTimeout(() => {
      away.hidden = true;
      step(by);
    }, after);
  };

  // One line at a time

  /** @param {string} [id] */
  const show = (id = "") => {
    if (mode === "rotate") {
      current = id;
      queue = queue.filter((each) => each !== id);
      turn = Math.max(0, lines.findIndex((line) => line.id === id));
      for (const [each, { item }] of rows) item.classList.toggle("on", each === id);
      write(position, `${number(turn + 1)} / ${number(lines.length)}`);
    }
    steer();
  };

  /** @param {number} by */
  const step = (by) => {
    const { length } = lines;
    show((by > 0 && queue.find((id) => rows.has(id))) || lines[(turn + by + length) % length]?.id);
  };

  // The belt: each line moves by itself, so that none jumps when another comes, changes or goes

  /** Let lines onto the belt as long as there is room behind the last. */
  const run = () => {
    const width = stage.clientWidth;
    let end = last ? Math.max(width, ((duration - /** @type {any} */ (last.currentTime)) * SPEED) / SECOND) : 0;
    while (width && end < width + SPEED) {
      queue = queue.filter((id) => rows.has(id));
      if (!queue.length) queue = lines.map(({ id }) => id);
      const id = queue.find((id) => !rows.get(id)?.motion);
      if (!id) return;
      const row = /** @type {Row} */ (rows.get(id));
      const { item } = row;
      const size = item.offsetWidth + 1; // which is rounded
      queue = queue.filter((each) => each !== id);
      item.classList.add("on");
      item.style.inlineSize = `${size}px`; // whatever its words become while it moves
      duration = ((end + size) / SPEED) * SECOND;
      row.motion = last = item.animate(
        { translate: [end, -size].map((x) => `${dir === "rtl" ? -x : x}px`) },
        { duration, fill: "forwards" },
      );
      last.onfinish = () => {
        if (rows.get(id) === row) drop(id); // where the line is still on the board, it comes again with a new one
        render();
      };
      end += size;
    }
  };

  return { join, leave, hold, refresh: () => feed?.refresh() };
};

const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {}); // importable on a server

/**
 * The banner.
 *
 * Attributes: `channel` (required); `mode` ("rotate", one line at a time; "list"; "scroll"); `max`; `min-urgency`;
 * `label`; `lang`; `dir`; `theme` ("light" or "dark"; else as the page); `sticky` ("top" or "bottom");
 * `controls="none"` (no previous and next); `dismissible`; `hide-when-empty`; `src` (base URL of the server; else
 * where this module came from). Reflects its connection in `state`.
 *
 * Events, bubbling and composed: `ticker:line`, `ticker:correction`, `ticker:cancel`, `ticker:open` (a reader opens
 * a line's link; cancelable) with `detail.line`; `ticker:state` with `detail.state`.
 *
 * What the page puts inside the tag is shown until the first board, and then removed; `slot="label"` and
 * `slot="empty"` stay.
 */
export class BreakingTicker extends Base {
  static observedAttributes = "channel src mode max min-urgency label lang dir".split(" ");

  #inside = inside(this, this.attachInternals());

  connectedCallback() {
    listen(1);
    this.#inside.join();
  }

  disconnectedCallback() {
    this.#inside.leave();
    listen(-1);
  }

  attributeChangedCallback() {
    if (this.#inside.leave()) this.#inside.join(); // else not in a page yet
  }

  /** Hold the banner still until `resume`; corrections, holds and kills still show. */
  pause() {
    this.#inside.hold(true);
  }

  resume() {
    this.#inside.hold(false);
  }

  /** Connect anew, and take whole boards. */
  refresh() {
    this.#inside.refresh();
  }
}

if (globalThis.customElements && !customElements.get("breaking-ticker")) {
  customElements.define("breaking-ticker", BreakingTicker);
}
