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
 * @typedef {{type: "board", channel: string, cursor: string|null, now: string, lines: Line[], title: string,
 *   label: string, language: string, direction: "ltr"|"rtl", max_lines: number}} BoardFrame
 * @typedef {{type: "line", channel: string, cursor: string, prev: string|null, line: Line}} LineFrame
 * @typedef {{type: "beat", channel: string, cursor: string|null, now: string}} BeatFrame
 *
 * @typedef {{kind: "line"|"correction"|"cancel"|"change", line: Line}} Change
 *   `line` is new; `correction` has other words, or has them again; `cancel` lost them (held or killed).
 */

const SECOND = 1_000;

// Connection

const FIRST_FRAME = 10 * SECOND; // a proxy that opens a connection and lets nothing through is no connection
const DELAYED = 30 * SECOND; // without a frame; beats come every 20 to 25 s
const DEAD = 45 * SECOND;
const STEADY = 10 * SECOND; // a connection that lasted this long begins its backoff anew
const BACKOFF_BASE = 0.5 * SECOND;
const BACKOFF_CAP = 30 * SECOND;
const RETRY_AFTER_CAP = 600 * SECOND; // a banner that stays away for hours has forgotten to come back
const POLL = 10 * SECOND; // mean; each pause is drawn from 0 to twice this, so that readers spread out
const CLIMB_BASE = 60 * SECOND; // between two tries to get from polling back to a live connection, doubling
const CLIMB_CAP = 960 * SECOND;
const TIMER_CAP = 2 ** 31 - 1; // setTimeout overflows beyond

// Banner

const DWELL = 6 * SECOND; // a line's turn in rotate mode,
const DWELL_PER_CHARACTER = 60; // or as long as it takes to read it aloud
const RETRACTION_ROTATES = 900 * SECOND; // rotate shows what was withdrawn lately; list shows all of it
const REFRESH_TIMES = 15 * SECOND;
const SAY_AFTER = 0.5 * SECOND; // a burst is announced as one
const SAY_AT_MOST = 3; // the newest of a burst
const SAID_FOR = 10 * SECOND; // then the live region is emptied

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} early when aborted */
const pause = (ms, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 * @param {number} failures in a row, from 1 */
const backoff = (failures) => Math.random() * Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** failures);

/** @param {string} a @param {string} b newest first; ids are `MS-N` */
const newerFirst = (a, b) => {
  const [aTime, aCount] = a.split("-").map(Number);
  const [bTime, bCount] = b.split("-").map(Number);
  return bTime - aTime || bCount - aCount;
};

/** What a channel shows now: frames folded into ordered lines. Pure; the clock can be given. */
export class Board {
  /** The event we stand at: null on an empty channel, undefined when a board is wanted.
   * @type {string|null|undefined} */
  cursor;
  ready = false;
  title = "";
  label = "";
  language = "";
  /** @type {"ltr"|"rtl"|""} */
  direction = "";

  #clock;
  /** Server's time less ours. @type {number|undefined} */
  #offset;
  #max = 10;
  #newest = "0-0";
  /** @type {Map<string, Line>} */
  #lines = new Map();

  /** @param {() => number} clock milliseconds */
  constructor(clock = Date.now) {
    this.#clock = clock;
  }

  /** The server's time, in milliseconds. */
  get now() {
    return this.#clock() + (this.#offset ?? 0);
  }

  /**
   * Take a whole board in place of all we hold.
   * @param {BoardFrame} frame
   * @param {boolean} cached whether it may come out of a cache, so that its `now` may be old
   * @returns {Change[]} none for the first board: it is where we start, not news
   */
  replace(frame, cached = false) {
    const first = !this.ready;
    const before = this.#lines;
    this.#lines = new Map();
    this.ready = true;
    this.#max = frame.max_lines ?? this.#max;
    for (const name of /** @type {const} */ (["cursor", "title", "label", "language", "direction"])) {
      /** @type {any} */ (this)[name] = frame[name];
    }
    this.#setClock(frame.now, cached);
    const changes = frame.lines.map((line) => this.#put(line, before.get(line.id), false));
    this.prune();
    return first ? [] : changes.filter((change) => change !== undefined);
  }

  /**
   * Take one event.
   * @param {LineFrame} frame
   * @returns {Change[]|"gap"}
   */
  apply(frame) {
    if (frame.cursor === this.cursor) return [];
    if (frame.prev !== this.cursor) return this.#gap();
    this.cursor = frame.cursor;
    const change = this.#put(frame.line, this.#lines.get(frame.line.id), true);
    this.prune();
    return change ? [change] : [];
  }

  /**
   * @param {BeatFrame} frame
   * @returns {"gap"|undefined}
   */
  beat(frame) {
    this.#setClock(frame.now, false);
    if (frame.cursor !== this.cursor) return this.#gap();
  }

  /** @returns {Line[]} in order: pinned first, then newest first */
  get lines() {
    const now = this.now;
    let room = this.#max;
    return [...this.#lines.values()]
      .filter((line) => !(line.expires && Date.parse(line.expires) <= now))
      .sort((a, b) => Number(b.pinned) - Number(a.pinned) || newerFirst(a.id, b.id))
      .filter((line) => line.status !== "usable" || room-- > 0);
  }

  /** Milliseconds until the next line expires; Infinity when none does. */
  get nextExpiry() {
    const times = [...this.#lines.values()].map((line) => (line.expires ? Date.parse(line.expires) : Infinity));
    return Math.min(...times) - this.now;
  }

  /** Forget what shows no more. */
  prune() {
    this.#lines = new Map(this.lines.map((line) => [line.id, line]));
  }

  #gap() {
    this.cursor = undefined;
    return /** @type {const} */ ("gap");
  }

  /** @param {string} time @param {boolean} cached */
  #setClock(time, cached) {
    const offset = Date.parse(time) - this.#clock();
    if (Number.isNaN(offset)) return;
    this.#offset = cached ? Math.max(offset, this.#offset ?? -Infinity) : offset;
  }

  /**
   * @param {Line} line
   * @param {Line|undefined} before
   * @param {boolean} event rather than part of a board
   * @returns {Change|undefined}
   */
  #put(line, before, event) {
    const newer = newerFirst(line.id, this.#newest) < 0;
    if (newer) this.#newest = line.id;
    if (line.status !== "usable") {
      const { text, url, source, ...tombstone } = line; // the server left them out; see that they are
      line = tombstone;
    }
    this.#lines.set(line.id, line);
    if (line.status !== "usable") {
      if (before ? before.status !== line.status : event) return { kind: "cancel", line };
    } else if (before ? before.status !== "usable" || before.corrected !== line.corrected : !newer && event) {
      return { kind: "correction", line };
    } else if (!before && newer) {
      return { kind: "line", line };
    }
    if (before && before.version !== line.version) return { kind: "change", line };
  }
}

/**
 * One connection to one server, for all its channels that a page shows. Knows no DOM.
 *
 *     WebSocket ──refused twice──▶ SSE ──refused twice──▶ polling
 *         ▲─────────after a while─────────────────────────────┘
 *
 * Events: `board` with `{channel, changes}` when a board changed; `state` when the connection did.
 */
export class Feed extends EventTarget {
  /** @type {Map<string, Feed>} */
  static #feeds = new Map();

  /** The page's one feed of a server. @param {string} server base URL, no slash at its end */
  static at(server) {
    let feed = Feed.#feeds.get(server);
    if (!feed) Feed.#feeds.set(server, (feed = new Feed(server)));
    return feed;
  }

  /** When the last frame came, in our clock's milliseconds; until then, when we began. */
  heard = Date.now();

  #server;
  /** @type {Map<string, Board>} */
  #boards = new Map();
  /** How many joined. @type {Map<string, number>} */
  #members = new Map();
  /** What the connection carries. @type {Set<string>} */
  #carried = new Set();
  /** What the server told us to ask for no more. @type {Set<string>} */
  #refused = new Set();
  /** @type {State} */
  #state = "connecting";
  /** Ends the connection and all tries. @type {AbortController|undefined} */
  #running;
  /** This one connection. @type {{controller: AbortController, heard: boolean, gap: boolean}|undefined} */
  #attempt;
  /** @type {AbortController|undefined} */
  #page;
  #watchdog = 0;
  #expiry = 0;

  /** @param {string} server */
  constructor(server) {
    super();
    this.#server = server;
  }

  /** @param {string} channel @returns {Board} */
  join(channel) {
    this.#members.set(channel, (this.#members.get(channel) ?? 0) + 1);
    let board = this.#boards.get(channel);
    if (!board) {
      this.#boards.set(channel, (board = new Board()));
      queueMicrotask(() => this.#settle()); // the other banners of the page join first
    }
    return board;
  }

  /** @param {string} channel */
  leave(channel) {
    this.#members.set(channel, (this.#members.get(channel) ?? 1) - 1);
    queueMicrotask(() => this.#settle()); // a banner that is moved leaves and joins in one go
  }

  /** @param {string} channel @returns {State} */
  state(channel) {
    if (this.#refused.has(channel)) return "offline";
    return this.#state === "live" && !this.#boards.get(channel)?.ready ? "connecting" : this.#state;
  }

  #settle() {
    for (const [channel, members] of this.#members) {
      if (members > 0) continue;
      this.#members.delete(channel);
      this.#boards.delete(channel);
      this.#carried.delete(channel);
      this.#refused.delete(channel);
    }
    if (!this.#boards.size) return this.#close();
    if (!this.#page) this.#watchPage();
    if (this.#wanted.some((channel) => !this.#carried.has(channel))) this.#open();
  }

  get #wanted() {
    return [...this.#boards.keys()].filter((channel) => !this.#refused.has(channel));
  }

  #watchPage() {
    const { signal } = (this.#page = new AbortController());
    addEventListener("online", () => this.#open(), { signal });
    // An open connection would keep the page out of the back/forward cache.
    addEventListener("pagehide", () => this.#stop(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#open(), { signal });
  }

  #close() {
    this.#stop();
    this.#page?.abort();
    this.#page = undefined;
    this.#setState("connecting");
  }

  #stop() {
    this.#running?.abort();
    this.#attempt?.controller.abort();
    this.#carried.clear();
    clearTimeout(this.#watchdog);
    clearTimeout(this.#expiry);
  }

  #open() {
    this.#stop();
    this.#carried = new Set(this.#wanted);
    if (!this.#carried.size) return;
    if (this.#state === "offline") this.#setState("connecting");
    this.#running = new AbortController();
    this.#armExpiry();
    this.#keep(this.#running.signal);
  }

  /** Keep a connection, for ever. @param {AbortSignal} signal */
  async #keep(signal) {
    const POLLING = 2;
    let rung = 0; // of the ladder: WebSocket, SSE, polling
    let refused = 0; // in a row, on this rung
    let failures = 0; // in a row, on all
    let climbs = 0; // in vain
    let climbing = false; // one refusal is enough to step down again, and no reader need hear of it

    while (!signal.aborted) {
      const attempt = (this.#attempt = { controller: new AbortController(), heard: false, gap: false });
      const began = Date.now();
      this.#watch(FIRST_FRAME, () => attempt.controller.abort());
      /** @type {{stop?: boolean, climb?: boolean, retryAfter?: number}} */
      let end = {};
      try {
        end = await [
          () => this.#socket(attempt.controller.signal),
          () => this.#events(attempt.controller.signal),
          () => this.#poll(attempt.controller.signal, climbs),
        ][rung]();
      } catch {
        // Refused by the browser itself, for one by the page's Content-Security-Policy.
      }
      if (signal.aborted) return;
      attempt.controller.abort();
      clearTimeout(this.#watchdog);

      if (end.stop) for (const channel of this.#carried) this.#refused.add(channel);
      if (!this.#wanted.length) return this.#setState("offline");
      if (end.climb) {
        [rung, refused, failures, climbing] = [0, 0, 0, true];
        climbs++;
        continue;
      }
      const quiet = attempt.gap || (climbing && rung < POLLING && !attempt.heard);
      if (!quiet) this.#setState("offline");
      if (attempt.heard || rung === POLLING) climbs = 0;
      if (attempt.heard) {
        if (Date.now() - began > STEADY) failures = 0;
        climbing = rung === 1; // the next connection after SSE may be a WebSocket again
        if (rung === 1) rung = 0;
        refused = 0;
      } else if (++refused >= (climbing ? 1 : 2) && rung < POLLING) {
        rung++;
        refused = 0;
        if (rung === POLLING) climbing = false;
      }
      await pause(Math.max(end.retryAfter ?? 0, backoff(++failures)), signal);
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<{stop: boolean}>} when it ended */
  #socket(signal) {
    return new Promise((resolve) => {
      const socket = new WebSocket(this.#url().replace(/^http/, "ws"));
      const listening = new AbortController();
      const end = (stop = false) => {
        listening.abort();
        socket.close();
        resolve({ stop });
      };
      const options = { signal: listening.signal };
      socket.addEventListener("message", ({ data }) => this.#receive(data), options);
      socket.addEventListener("close", ({ code }) => end(code === 1008 || (code >= 4400 && code < 4500)), options);
      signal.addEventListener("abort", () => end(), options);
    });
  }

  /** @param {AbortSignal} signal @returns {Promise<{}>} when it ended */
  #events(signal) {
    return new Promise((resolve) => {
      const source = new EventSource(this.#url());
      const listening = new AbortController();
      const end = () => {
        listening.abort();
        source.close(); // or it would reconnect by itself, every reader at the same moment
        resolve({});
      };
      const options = { signal: listening.signal };
      for (const type of ["board", "line", "beat"]) {
        source.addEventListener(type, (event) => this.#receive(event.data), options);
      }
      source.addEventListener("error", end, options);
      signal.addEventListener("abort", end, options);
    });
  }

  /**
   * Ask for the boards again and again, until one can't be had or it is time to try a live connection.
   * @param {AbortSignal} signal
   * @param {number} climbs tried in vain
   * @returns {Promise<{climb?: boolean, retryAfter?: number}>}
   */
  async #poll(signal, climbs) {
    // At first climb at once: the node answers again. Where that is in vain, the way up is blocked.
    const climbAt = climbs ? Date.now() + Math.min(CLIMB_CAP, CLIMB_BASE * 2 ** (climbs - 1)) : 0;
    for (;;) {
      for (const channel of this.#wanted) {
        // "no-cache" has the browser ask with If-None-Match; set by hand it would cost a CORS preflight.
        const url = `${this.#server}/v1/channels/${encodeURIComponent(channel)}/lines`;
        const response = await fetch(url, { cache: "no-cache", credentials: "omit", signal });
        if (response.ok) {
          this.#receive(await response.text(), true);
        } else if (response.status === 404 || response.status === 410) {
          this.#refused.add(channel);
          this.dispatchEvent(new Event("state"));
        } else {
          return { retryAfter: retryAfter(response) };
        }
      }
      if (!this.#wanted.length || Date.now() >= climbAt) return { climb: true };
      await pause(Math.random() * 2 * POLL, signal);
      if (signal.aborted) return {};
    }
  }

  #url() {
    const query = new URLSearchParams();
    for (const channel of (this.#carried = new Set(this.#wanted))) {
      query.append("channel", channel);
      const cursor = this.#boards.get(channel)?.cursor;
      if (cursor) query.append("cursor", `${channel}:${cursor}`);
    }
    return `${this.#server}/v1/live?${query}`;
  }

  /** @param {string} data @param {boolean} cached */
  #receive(data, cached = false) {
    /** @type {BoardFrame|LineFrame|BeatFrame} */
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return; // not ours: a proxy's or an extension's
    }
    const board = this.#boards.get(frame?.channel);
    if (!board) return;
    this.#hear();
    /** @type {Change[]|"gap"|undefined} */
    let result;
    if (frame.type === "board") result = board.replace(frame, cached);
    else if (frame.type === "line") result = board.apply(frame);
    else if (frame.type === "beat") result = board.beat(frame);
    if (result === "gap") {
      if (this.#attempt) this.#attempt.gap = true;
      this.#attempt?.controller.abort();
    } else if (result) {
      this.#emit(frame.channel, result);
      this.#armExpiry();
    }
  }

  /** @param {string} channel @param {Change[]} changes */
  #emit(channel, changes) {
    this.dispatchEvent(new CustomEvent("board", { detail: { channel, changes } }));
  }

  #hear() {
    this.heard = Date.now();
    if (this.#attempt) this.#attempt.heard = true;
    const { controller } = this.#attempt ?? {};
    this.#watch(DELAYED, () => {
      this.#setState("delayed");
      this.#watch(DEAD - DELAYED, () => controller?.abort());
    });
    this.#setState("live");
  }

  /** @param {number} ms @param {() => void} late */
  #watch(ms, late) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(late, ms);
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  #armExpiry() {
    clearTimeout(this.#expiry);
    const next = Math.min(...[...this.#boards.values()].map((board) => board.nextExpiry));
    if (next === Infinity) return;
    this.#expiry = setTimeout(
      () => {
        for (const [channel, board] of this.#boards) {
          if (board.nextExpiry > 0) continue;
          board.prune();
          this.#emit(channel, []);
        }
        this.#armExpiry();
      },
      Math.min(TIMER_CAP, Math.max(0, next) + 5),
    );
  }
}

/** @param {Response} response @returns {number} milliseconds (RFC 9110, 10.2.3); 0 where it doesn't say */
const retryAfter = (response) => {
  const value = response.headers.get("Retry-After") ?? "";
  const ms = /^\d+$/.test(value) ? Number(value) * SECOND : Date.parse(value) - Date.now();
  return Math.min(RETRY_AFTER_CAP, Math.max(0, ms || 0));
};

// Words of the banner itself. The label comes from the server, in many more languages than these.

/** @typedef {typeof ENGLISH} Words */
const ENGLISH = {
  label: "Breaking",
  corrected: "Corrected",
  canceled: "Retracted",
  withheld: "On hold",
  connecting: "Connecting",
  delayed: "Delayed",
  offline: "Offline since",
  empty: "No breaking news right now",
  previous: "Previous",
  next: "Next",
  pause: "Pause",
  resume: "Resume",
  more: "More",
  less: "Less",
  fresh: "New",
};

/** @type {Record<string, Words>} */
const WORDS = {
  en: ENGLISH,
  ar: {
    label: "عاجل",
    corrected: "تصحيح",
    canceled: "سُحب الخبر",
    withheld: "معلّق",
    connecting: "جارٍ الاتصال",
    delayed: "متأخر",
    offline: "غير متصل منذ",
    empty: "لا أخبار عاجلة الآن",
    previous: "السابق",
    next: "التالي",
    pause: "إيقاف مؤقت",
    resume: "استئناف",
    more: "المزيد",
    less: "أقل",
    fresh: "جديد",
  },
  es: {
    label: "Última hora",
    corrected: "Corregido",
    canceled: "Retirado",
    withheld: "En espera",
    connecting: "Conectando",
    delayed: "Con retraso",
    offline: "Sin conexión desde",
    empty: "Sin noticias de última hora por ahora",
    previous: "Anterior",
    next: "Siguiente",
    pause: "Pausar",
    resume: "Reanudar",
    more: "Más",
    less: "Menos",
    fresh: "Nuevo",
  },
  fr: {
    label: "Dernière minute",
    corrected: "Corrigé",
    canceled: "Retiré",
    withheld: "En attente",
    connecting: "Connexion",
    delayed: "En retard",
    offline: "Hors ligne depuis",
    empty: "Pas d’alerte pour le moment",
    previous: "Précédent",
    next: "Suivant",
    pause: "Pause",
    resume: "Reprendre",
    more: "Plus",
    less: "Moins",
    fresh: "Nouveau",
  },
  de: {
    label: "Eilmeldung",
    corrected: "Korrigiert",
    canceled: "Zurückgezogen",
    withheld: "Zurückgestellt",
    connecting: "Verbinden",
    delayed: "Verzögert",
    offline: "Offline seit",
    empty: "Zurzeit keine Eilmeldungen",
    previous: "Zurück",
    next: "Weiter",
    pause: "Anhalten",
    resume: "Fortsetzen",
    more: "Mehr",
    less: "Weniger",
    fresh: "Neu",
  },
};

const RIGHT_TO_LEFT = /^(ar|ckb|dv|fa|he|ps|sd|ug|ur|yi)\b/i;

/** A language tag that Intl takes; anything else, English. @param {string|null|undefined} tag */
const language = (tag) => {
  try {
    return (tag && Intl.getCanonicalLocales(tag)[0]) || "en";
  } catch {
    return "en";
  }
};

/**
 * Times and numbers of one language.
 * @param {string} tag
 */
const format = (tag) => {
  const relative = new Intl.RelativeTimeFormat(tag, { numeric: "auto", style: "short" });
  const number = new Intl.NumberFormat(tag);
  const time = new Intl.DateTimeFormat(tag, { hour: "numeric", minute: "2-digit" });
  const full = new Intl.DateTimeFormat(tag, { dateStyle: "full", timeStyle: "short" });
  return {
    words: WORDS[tag.split("-")[0]] ?? ENGLISH,
    /** @param {number} n */
    number: (n) => number.format(n),
    /** @param {number} ms */
    time: (ms) => time.format(ms),
    /** @param {number} ms */
    full: (ms) => full.format(ms),
    /** @param {number} ms ago, never ahead */
    ago: (ms) => {
      const minutes = Math.max(0, Math.round(ms / 60_000));
      if (minutes < 1) return relative.format(0, "second");
      if (minutes < 60) return relative.format(-minutes, "minute");
      if (minutes < 24 * 60) return relative.format(-Math.round(minutes / 60), "hour");
      return relative.format(-Math.round(minutes / (24 * 60)), "day");
    },
  };
};

/**
 * An element; `null` and `undefined` attributes are left out, children are text or nodes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string|null|undefined>} [attributes]
 * @param {...(string|Node)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

/** @param {string} path drawn on 24 by 24 */
const icon = (path) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const drawn = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
};

const ICONS = {
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  pause: "M8 5v14M16 5v14",
  resume: "M8 5v14l11-7z",
};

/** What became of a line that is withdrawn. @param {Line} line */
const fate = (line) => (line.status === "withheld" ? "withheld" : "canceled");

/** @param {string|null|undefined} url @returns {string|undefined} what may become a link */
const link = (url) => {
  if (!url) return;
  try {
    return /^https?:$/.test(new URL(url).protocol) ? url : undefined;
  } catch {
    return;
  }
};

/**
 * The page's one live region, in the light DOM and empty until something is said (WCAG 2.2, 4.1.3).
 * Each version of a line is said once, however many banners show it.
 */
class Announcer {
  /** @type {Announcer|undefined} */
  static #ofPage;

  static get ofPage() {
    return (Announcer.#ofPage ??= new Announcer());
  }

  #polite = element("div", { "aria-live": "polite" });
  #assertive = element("div", { "aria-live": "assertive" });
  #host = element("div", { "data-ticker-announcer": "" }, this.#polite, this.#assertive);
  /** @type {Set<string>} */
  #said = new Set();
  /** @type {HTMLElement[]} */
  #waiting = [];
  #flush = 0;
  #banners = 0;

  constructor() {
    // By CSSOM, not by a style attribute: the page's Content-Security-Policy may forbid those.
    Object.assign(this.#host.style, {
      position: "absolute",
      inlineSize: "1px",
      blockSize: "1px",
      margin: "-1px",
      overflow: "hidden",
      clipPath: "inset(50%)",
      whiteSpace: "nowrap",
    });
  }

  enter() {
    if (this.#banners++ === 0) (document.body ?? document.documentElement).append(this.#host);
  }

  leave() {
    if (--this.#banners === 0) this.#host.remove();
  }

  /**
   * @param {Change} change
   * @param {string} banner's language
   * @param {string} head what it is: the label, or the fate of the line
   */
  say({ kind, line }, banner, head) {
    const key = `${line.channel} ${line.id} ${line.version}`;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    if (this.#said.size > 500) this.#said = new Set([...this.#said].slice(-250));

    this.#forget(line);
    const words = line.status === "usable" ? line.text : line.note;
    const said = element("p", { "data-line": `${line.channel} ${line.id}` });
    said.append(element("span", { lang: banner }, `${head}: `));
    if (words) said.append(element("span", { lang: line.language, dir: line.direction }, words));
    if (kind === "cancel") {
      this.#assertive.append(said);
      setTimeout(() => said.remove(), SAID_FOR);
    } else {
      this.#waiting.push(said);
      clearTimeout(this.#flush);
      this.#flush = setTimeout(() => this.#sayPolitely(), SAY_AFTER);
    }
  }

  #sayPolitely() {
    const said = this.#waiting.splice(0).slice(-SAY_AT_MOST);
    this.#polite.append(...said);
    setTimeout(() => said.forEach((paragraph) => paragraph.remove()), SAID_FOR);
  }

  /** What was said of a line before holds no more. @param {Line} line */
  #forget(line) {
    const key = `${line.channel} ${line.id}`;
    this.#waiting = this.#waiting.filter((said) => said.dataset.line !== key);
    for (const said of this.#host.querySelectorAll("p")) if (said.dataset.line === key) said.remove();
  }
}

/** One timer keeps the times of all banners of the page fresh. */
const clock = {
  /** @type {Set<() => void>} */
  hands: new Set(),
  timer: 0,
  /** @param {() => void} hand @param {AbortSignal} signal */
  tell(hand, signal) {
    if (!this.hands.size) this.timer = setInterval(() => this.hands.forEach((each) => each()), REFRESH_TIMES);
    this.hands.add(hand);
    signal.addEventListener("abort", () => {
      this.hands.delete(hand);
      if (!this.hands.size) clearInterval(this.timer);
    });
  },
};

const STYLE = `
:host { display: block }
:host([hidden]), [hidden] { display: none !important }
*, ::before, ::after { box-sizing: border-box; margin: 0; padding: 0 }

.frame {
  --accent: var(--ticker-accent, #b3131b);
  --on-accent: var(--ticker-on-accent, #fff);
  --accent-text: var(--ticker-accent-text, light-dark(var(--accent), color-mix(in oklab, var(--accent), #fff 52%)));
  --surface: var(--ticker-surface, light-dark(#fff, #17191d));
  --ink: var(--ticker-ink, light-dark(#15171a, #f2f3f5));
  --muted: var(--ticker-muted, light-dark(#5a606a, #a8aeb8));
  --rule: var(--ticker-rule, light-dark(#dcdfe4, #353941));
  --target: max(44px, 2.75em);
  --start: left;
  container-type: inline-size;
  color-scheme: light dark;
  font-family: var(--ticker-font, inherit);
  font-style: normal;
  line-height: 1.4;
  letter-spacing: normal;
  text-align: start;
  text-transform: none;
  text-indent: 0;
  white-space: normal;
}
.frame[dir="rtl"] { --start: right }
:host([theme="light"]) .frame { color-scheme: light }
:host([theme="dark"]) .frame { color-scheme: dark }

.bar {
  position: relative;
  background: var(--surface);
  color: var(--ink);
  outline: none;
}
ol { list-style: none }
a { color: inherit; text-decoration: none }
a:hover { text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: .18em }
:focus-visible { outline: 2px solid currentColor; outline-offset: -2px }

button {
  display: inline-grid;
  place-items: center;
  min-inline-size: 44px; /* WCAG 2.2, 2.5.5 */
  min-block-size: 44px;
  border: 0;
  background: none;
  color: var(--muted);
  font: inherit;
  cursor: pointer;
}
button:hover { color: var(--ink); background: color-mix(in srgb, currentColor 9%, transparent) }
svg { inline-size: 1.25em; block-size: 1.25em; fill: none; stroke: currentColor; stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round }
.frame[dir="rtl"] .turn svg { scale: -1 1 }
.controls { grid-area: controls; display: flex; align-items: center }
.position { min-inline-size: 3.4em; text-align: center; font-size: .8125em; color: var(--muted);
  font-variant-numeric: tabular-nums; white-space: nowrap }
.idle { visibility: hidden }
.pause { position: relative }
.rotate .waiting .pause::after { content: ""; position: absolute; inset-block-start: 24%; inset-inline-end: 24%;
  inline-size: .5em; block-size: .5em; border-radius: 50%;
  background: var(--accent-text); outline: 2px solid var(--surface) }

.head { grid-area: head; position: relative; display: flex; align-items: center; min-inline-size: 0 }
.label { display: flex; align-items: center; gap: .6em; font-size: .875em; font-weight: 800; line-height: 1.15 }
.label.cased { text-transform: uppercase; letter-spacing: .05em }
.label::before { content: ""; flex: none; inline-size: round(.55em, 1px); block-size: round(.55em, 1px);
  border-radius: 50%; border: .1em solid currentColor; background: currentColor }
:host(:not([state="live"])) .label::before { background: none }
.state { font-size: .6875em; line-height: 1.15;
  animation: appear 0s 2s both }
@keyframes appear { from { visibility: hidden } }

.mark { display: inline-block; padding: .05em .45em; border: 1px solid; border-radius: 2px; color: var(--muted);
  font-size: .75em; font-weight: 600; line-height: 1.35; vertical-align: .08em; white-space: nowrap }
.time, .source, .note { color: var(--muted); font-size: .8125em; font-weight: 400 }
.time { white-space: nowrap; font-variant-numeric: tabular-nums }
.text { overflow-wrap: anywhere }
.empty { color: var(--muted) }
[data-status="canceled"] .mark, [data-status="withheld"] .mark { color: var(--ink) }
.wait { position: absolute; pointer-events: none }

/* One line at a time: a bar whose height never changes. */

.rotate .bar {
  --rows: 2;
  display: grid;
  grid-template: "head stage controls" 100% / auto minmax(0, 1fr) auto;
  block-size: 4.5em;
  border-block: 1px solid var(--rule);
  transition: background-color .2s;
}
.rotate .head { padding-inline: 1.25em; background: var(--accent); color: var(--on-accent) }
.rotate .label { min-inline-size: 6.5em; max-inline-size: 14em }
.rotate .state { position: absolute; inset-inline: 1.82em .3em; inset-block-end: .5em }
.rotate .stage { grid-area: stage; position: relative; min-inline-size: 0 }
.rotate .controls { padding-inline-end: .5em }
.rotate ol, .rotate li, .rotate .empty, .rotate slot { position: absolute; inset: 0 }
.rotate li, .rotate .empty, .rotate slot { display: grid; align-content: center; padding-inline: 1.125em;
  background: var(--surface) }
.rotate slot { overflow: hidden }
.rotate li { visibility: hidden; opacity: 0; transition: opacity .12s, visibility .12s }
.rotate li.current { visibility: visible; opacity: 1; transition: opacity .2s .08s }
.rotate .line { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: var(--rows); overflow: hidden;
  font-size: 1.125em; font-weight: 600; text-wrap: pretty }
.rotate .line > :not(:last-child) { margin-inline-end: .4em }
.rotate .mark { margin-inline-start: .4em }
.rotate .text { font-size: 1em }
.rotate [data-urgency="update"] .line { font-weight: 500 }
.rotate .more { position: absolute; inset-block-end: 0; inset-inline-end: 0; align-content: end;
  padding: 0 1.28em .72em 2em; line-height: 1.5; font-size: .875em; font-weight: 600; color: var(--ink);
  text-decoration: underline; text-underline-offset: .2em;
  background: linear-gradient(to right, transparent, var(--surface) 1.75em) bottom / 100% 2.4em no-repeat }
.rotate .more[dir="rtl"] { inset: auto auto 0 0; padding: 0 2em .72em 1.28em;
  background-image: linear-gradient(to left, transparent, var(--surface) 1.75em) }
.rotate .open .stage { z-index: 1; display: grid; align-self: start; min-block-size: 100%; background: var(--surface);
  border-block-end: 1px solid var(--rule); box-shadow: 0 1em 1.25em -.75em rgb(0 0 0 / .35) }
.rotate .open ol { position: relative; display: grid }
.rotate .open li.current { position: relative; padding-block: .75em 2.75em }
.rotate .open .line { -webkit-line-clamp: none; display: block }
.rotate .wait { inset: 0 1.125em; background:
  linear-gradient(var(--rule), var(--rule)) var(--start) center / min(34em, 80%) .8em no-repeat }
.rotate .fresh { display: none }
.rotate .flash { --surface: var(--accent); --ink: var(--on-accent); --muted: var(--on-accent);
  --accent-text: var(--on-accent) }
.rotate .flash .head { background: color-mix(in oklab, var(--accent), #000 28%) }

@container (inline-size < 42em) {
  .rotate .bar { --rows: 3; grid-template: "head controls" var(--target) "stage stage" 1fr / minmax(0, 1fr) auto;
    block-size: calc(var(--target) + 5.5em) }
  .rotate .head { padding-inline: 1em .5em }
  .rotate .label { min-inline-size: 0; font-size: .8125em }
  .rotate .state { inset-inline: 1.45em 0; inset-block: auto .1em; white-space: nowrap; overflow: hidden;
    text-overflow: ellipsis }
  :host(:not([state="live"])) .rotate .label { white-space: nowrap; overflow: hidden }
  .rotate .controls { padding-inline-end: .25em; background: var(--accent);
    --muted: var(--on-accent); --ink: var(--on-accent); --accent-text: var(--on-accent); --surface: var(--accent) }
  .rotate .flash .controls { background: color-mix(in oklab, var(--accent), #000 28%) }
  .rotate li, .rotate .empty, .rotate slot { padding-inline: 1em }
  .rotate .wait { inset-inline: 1em }
  .rotate .line { font-size: 1.0625em }
  .rotate .more { padding-block-end: .5em; padding-inline-end: 1.14em }
}
@container (inline-size < 18em) { /* large text on a phone */
  .rotate .bar { --rows: 4 }
  .rotate .line { font-size: .9375em; line-height: 1.35 }
  .rotate .position { display: none }
  .rotate .label { gap: .4em }
}

/* The newest, one under the other. Lines come in from above, inside a block of constant height. */

.list .bar {
  display: grid;
  grid-template: "head controls" var(--target) "stage stage" minmax(0, 1fr) / minmax(0, 1fr) auto;
  block-size: var(--ticker-block-size, min(34em, calc(var(--target) + 3px + var(--max, 10) * 5em)));
  border-block-start: 3px solid var(--accent);
}
.list .head { gap: 1em; padding-inline-start: var(--ticker-gutter, 1em) }
.list .label { color: var(--accent-text) }
.list .state { color: var(--muted); font-size: .75em }
.list .turn, .list .position, .list .more { display: none }
.list .stage { grid-area: stage; position: relative; border-block-start: 1px solid var(--rule);
  overflow: auto; overflow-anchor: none;
  scrollbar-width: thin }
.list .below { mask-image: linear-gradient(#000 calc(100% - 3em), transparent) }
.list li, .list .empty { padding: .8em var(--ticker-gutter, 1em) .85em }
.list li { border-block-end: 1px solid var(--rule) }
.list .line { display: grid; gap: .2em .75em; justify-items: start }
.list .meta { display: flex; flex-wrap: wrap; align-items: center; gap: .2em .6em }
.list .text { font-weight: 600; text-wrap: pretty }
.list [data-urgency="update"] .text { font-weight: 400 }
.list [data-urgency="flash"][data-status="usable"] { box-shadow: inset .1875em 0 var(--accent);
  padding-inline-start: max(.75em, var(--ticker-gutter, 1em)) }
.list [data-urgency="flash"][data-status="usable"][dir="rtl"] { box-shadow: inset -.1875em 0 var(--accent) }
.list [data-urgency="flash"] .text { color: var(--accent-text); font-weight: 700 }
.list .arrived { animation: arrived 4s ease-out }
@keyframes arrived { 0%, 25% { background: color-mix(in srgb, var(--accent) 11%, transparent) } }
.list .controls { position: relative }
.list .fresh { position: absolute; inset-inline-end: 100%; display: flex; align-items: center; gap: .4em;
  padding-inline: .9em; border: 8px solid transparent;
  border-radius: 99em; background: var(--accent) padding-box; color: var(--on-accent); font-size: .8125em; font-weight: 700;
  white-space: nowrap }
.list .fresh::before { content: "↑" / "" }
.list .wait { inset: 0 var(--ticker-gutter, 1em); background:
  linear-gradient(var(--rule), var(--rule)) var(--start) 1.1em / 5em .6em no-repeat,
  linear-gradient(var(--rule), var(--rule)) var(--start) 2.3em / 88% .8em no-repeat,
  linear-gradient(var(--rule), var(--rule)) var(--start) 6.1em / 5em .6em no-repeat,
  linear-gradient(var(--rule), var(--rule)) var(--start) 7.3em / 72% .8em no-repeat,
  linear-gradient(var(--rule), var(--rule)) var(--start) 11.1em / 5em .6em no-repeat,
  linear-gradient(var(--rule), var(--rule)) var(--start) 12.3em / 80% .8em no-repeat }

@container (inline-size >= 42em) {
  .list .line { grid-template-columns: 8.5em minmax(0, 1fr) }
  .list .line > * { grid-column: 2 }
  .list .meta { grid-column: 1; grid-row: 1 / span 9; flex-direction: column; align-items: start }
  .list .line { row-gap: 0 }
  .list .text + * { margin-block-start: .25em }
}

@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; scroll-behavior: auto !important }
}
@media (forced-colors: active) {
  .rotate .head { border-inline-end: 1px solid }
  .label::before, .pause::after { forced-color-adjust: none; border-color: CanvasText }
  :host([state="live"]) .label::before { background: CanvasText }
  .waiting .pause::after { background: Highlight }
  .rotate .open .stage { border: 1px solid }
  .list [data-urgency="flash"] { border-inline-start: .25em solid }
}
`;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {}); // importable on a server

/**
 * The banner.
 *
 * Attributes: `channel` (required), `mode` ("rotate", one line at a time, or "list"), `max`, `label`, `lang`,
 * `dir`, `theme` ("light" or "dark"; else as the reader's system), `src` (base URL of the server; else where this
 * module came from). Reflects its connection in `state`.
 *
 * Events, bubbling and composed: `ticker:line`, `ticker:correction`, `ticker:cancel` with `detail.line`;
 * `ticker:state` with `detail.state`.
 *
 * What the page puts inside the tag is shown until the first board is there, and then removed.
 */
export class BreakingTicker extends Base {
  static observedAttributes = ["channel", "src", "mode", "max", "label", "lang", "dir"];
  /** @type {CSSStyleSheet|undefined} */
  static #sheet;

  /** @type {Feed|undefined} */
  #feed;
  /** @type {Board|undefined} */
  #board;
  #channel = "";
  #format = format("en");
  #language = "";
  #label = "";
  /** While in a page. @type {AbortController|undefined} */
  #connected;
  /** While on this channel. @type {AbortController|undefined} */
  #joined;
  #internals;

  /** @typedef {{item: HTMLLIElement, line: Line, time?: HTMLTimeElement}} Row */
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Line[]} */
  #lines = [];
  /** The line whose turn it is. */
  #current = "";
  /** Came while the reader held the banner still, newest last. @type {Set<string>} */
  #waiting = new Set();
  #paused = false;
  #hovered = false;
  #focused = false;
  #unfolded = false;
  /** In list mode: on its way to the top; and to go there when it may. */
  #gliding = false;
  #follows = true;
  /** In rotate mode: the place of the line whose turn it is. */
  #turn = 0;
  #dwell = 0;

  #ui = {
    frame: element("div", { class: "frame" }),
    bar: element("div", { part: "base", class: "bar", role: "region", tabindex: "-1" }),
    head: element("div", { part: "head", class: "head" }),
    label: element("span", { part: "label", class: "label" }),
    state: element("span", { part: "state", class: "state" }),
    stage: element("div", { part: "stage", class: "stage" }),
    wait: element("div", { class: "wait", hidden: "" }),
    fallback: element("slot"),
    empty: element("p", { part: "empty", class: "empty", hidden: "" }),
    list: element("ol", { part: "list", role: "list" }), // list-style: none costs the role in Safari
    more: element("button", { part: "button more", class: "more", type: "button", hidden: "" }),
    controls: element("div", { part: "controls", class: "controls" }),
    fresh: element("button", { part: "button fresh", class: "fresh", type: "button", hidden: "" }),
    previous: element("button", { part: "button previous", class: "turn", type: "button" }, icon(ICONS.previous)),
    position: element("span", { part: "position", class: "position" }),
    next: element("button", { part: "button next", class: "turn", type: "button" }, icon(ICONS.next)),
    pause: element("button", { part: "button pause", class: "pause", type: "button" }, icon(ICONS.pause)),
  };

  constructor() {
    super();
    const { frame, bar, head, label, state, stage, wait, fallback, empty, list, more, controls } = this.#ui;
    const { fresh, previous, position, next, pause } = this.#ui;
    head.append(label, state);
    controls.append(fresh, previous, position, next, pause);
    stage.append(wait, fallback, empty, list, more);
    bar.append(head, controls, stage);
    frame.append(bar);
    if (!BreakingTicker.#sheet) {
      BreakingTicker.#sheet = new CSSStyleSheet(); // a <style> would need style-src 'unsafe-inline'
      BreakingTicker.#sheet.replaceSync(STYLE);
    }
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [BreakingTicker.#sheet];
    root.append(frame);
    this.#internals = this.attachInternals();
  }

  connectedCallback() {
    const { signal } = (this.#connected = new AbortController());
    const { bar, stage, more, fresh, previous, next, pause } = this.#ui;
    const options = { signal };

    previous.addEventListener("click", () => this.#step(-1), options);
    next.addEventListener("click", () => this.#step(1), options);
    pause.addEventListener("click", () => (this.#paused ? this.resume() : this.pause()), options);
    more.addEventListener("click", () => this.#unfold(!this.#unfolded), options);
    fresh.addEventListener("click", () => this.#glide(), options);

    // What a reader points at or has focused stays (WCAG 2.2, 2.2.2). A click leaves focus behind: not that.
    bar.addEventListener("pointerenter", (event) => this.#hold("hovered", event.pointerType === "mouse"), options);
    bar.addEventListener("pointerleave", () => this.#hold("hovered", false), options);
    bar.addEventListener(
      "focusin",
      ({ target }) => this.#hold("focused", /** @type {Element} */ (target).matches(":focus-visible")),
      options,
    );
    bar.addEventListener("focusout", () => this.#hold("focused", false), options);
    bar.addEventListener("keydown", (event) => event.key === "Escape" && this.#unfold(false), options);

    stage.addEventListener("scroll", () => this.#scrolled(), options);
    for (const type of ["wheel", "touchmove", "keydown"]) {
      stage.addEventListener(type, () => (this.#gliding = false), { signal, passive: true });
    }
    const sizes = new ResizeObserver(() => this.#measure());
    sizes.observe(stage);
    signal.addEventListener("abort", () => sizes.disconnect());
    clock.tell(() => this.#tellTimes(), signal);

    Announcer.ofPage.enter();
    this.#join();
  }

  disconnectedCallback() {
    this.#connected?.abort();
    clearTimeout(this.#dwell);
    this.#leave();
    Announcer.ofPage.leave();
  }

  /** @param {string} name @param {string|null} before @param {string|null} after */
  attributeChangedCallback(name, before, after) {
    if (before === after || !this.#joined) return;
    if (name === "channel" || name === "src") {
      this.#leave();
      this.#join();
    } else {
      this.#render();
    }
  }

  /** Hold the banner still until `resume`; corrections, holds and kills still show. */
  pause() {
    this.#paused = true;
    this.#steer();
  }

  resume() {
    this.#paused = false;
    this.#steer();
  }

  // The channel

  #join() {
    const { signal } = (this.#joined = new AbortController());
    const server = this.getAttribute("src") ?? new URL(import.meta.url).origin;
    const channel = (this.#channel = this.getAttribute("channel") ?? "");
    this.#setState("connecting");
    if (channel) {
      const feed = (this.#feed = Feed.at(new URL(server, document.baseURI).href.replace(/\/+$/, "")));
      this.#board = feed.join(channel);
      signal.addEventListener("abort", () => feed.leave(channel));
      feed.addEventListener(
        "board",
        (event) => {
          const { detail } = /** @type {CustomEvent<{channel: string, changes: Change[]}>} */ (event);
          if (detail.channel === channel) this.#take(detail.changes);
        },
        { signal },
      );
      feed.addEventListener("state", () => this.#setState(feed.state(channel)), { signal });
      this.#setState(feed.state(channel));
    }
    this.#render();
  }

  #leave() {
    this.#joined?.abort();
    this.#joined = this.#feed = this.#board = undefined;
    for (const { item } of this.#rows.values()) item.remove();
    this.#rows.clear();
    this.#waiting.clear();
    this.#current = "";
  }

  /** @param {Change[]} changes */
  #take(changes) {
    const { words } = this.#format;
    if (this.#feed) this.#setState(this.#feed.state(this.#channel));
    this.#render(changes);
    for (const change of changes) {
      const { kind, line } = change;
      if (kind === "change") continue;
      this.#tell(`ticker:${kind}`, { line });
      const head = { line: this.#label, correction: words.corrected, cancel: words[fate(line)] }[kind];
      Announcer.ofPage.say(change, this.#language, head);
    }
  }

  /** @param {State} state */
  #setState(state) {
    if (this.getAttribute("state") === state) return;
    this.setAttribute("state", state);
    const states = this.#internals.states;
    for (const each of ["connecting", "live", "delayed", "offline"]) states?.[each === state ? "add" : "delete"](each);
    this.#tellState();
    this.#tell("ticker:state", { state });
  }

  #tellState() {
    const { words, time } = this.#format;
    const state = /** @type {State} */ (this.getAttribute("state"));
    const since = state === "offline" && this.#feed ? ` ${time(this.#feed.heard)}` : "";
    this.#ui.state.textContent = state === "live" ? "" : words[state] + since;
  }

  /** @param {string} type @param {{line: Line}|{state: State}} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { bubbles: true, composed: true, detail }));
  }

  // Rendering

  get #rotates() {
    return this.getAttribute("mode") !== "list";
  }

  /** Make the DOM what board and attributes say. @param {Change[]} changes what is new about the board */
  #render(changes = []) {
    const { frame, bar, wait, fallback, empty } = this.#ui;
    const relearned = this.#speak();
    const ready = this.#board?.ready ?? false;
    const mode = this.#rotates ? "rotate" : "list";
    frame.className = `frame ${mode}`;
    if (ready && this.hasChildNodes()) this.replaceChildren(); // it may hold words that were withdrawn since
    wait.hidden = ready || this.childElementCount > 0 || this.textContent?.trim() !== "";
    fallback.hidden = ready;

    const max = Math.floor(Number(this.getAttribute("max"))) || Infinity;
    bar.style.setProperty("--max", String(Math.min(max, 10)));
    this.#lines = this.#select(max);
    empty.hidden = !ready || this.#lines.length > 0;

    const settle = this.#rotates ? undefined : this.#anchor();
    const arrived = new Set(changes.filter(({ kind }) => kind === "line").map(({ line }) => line.id));
    this.#arrange(relearned, arrived);
    settle?.(arrived);
    if (this.#rotates) return this.#choose(changes);
    this.#steer();
    this.#measure();
  }

  /** Language, direction and label. @returns {boolean} whether the language is another one than before */
  #speak() {
    const { frame, bar, label, empty, previous, next } = this.#ui;
    const board = this.#board;
    const own = this.getAttribute("lang");
    const page = this.closest("[lang]")?.getAttribute("lang");
    const tongue = language(own || board?.language || page);
    const relearned = tongue !== this.#language;
    if (relearned) {
      this.#language = tongue;
      this.#format = format(tongue);
    }
    const { words } = this.#format;
    frame.lang = tongue;
    frame.dir =
      this.getAttribute("dir") || (!own && board?.direction) || (RIGHT_TO_LEFT.test(tongue) ? "rtl" : "ltr");
    this.#label = this.getAttribute("label") || board?.label || words.label;
    if (label.textContent !== this.#label) label.textContent = this.#label;
    // Letters that have no capitals are mostly joined, and not to be spaced.
    label.classList.toggle("cased", this.#label.toUpperCase() !== this.#label.toLowerCase());
    bar.setAttribute("aria-label", this.#label);
    empty.textContent = words.empty;
    previous.ariaLabel = words.previous;
    next.ariaLabel = words.next;
    this.#tellState();
    return relearned;
  }

  /** @param {number} max @returns {Line[]} */
  #select(max) {
    const board = this.#board;
    if (!board?.ready) return [];
    const lately = board.now - RETRACTION_ROTATES;
    let room = max;
    return board.lines
      .filter((line) => (line.status === "usable" ? room-- > 0 : room > 0))
      .filter((line) => line.status === "usable" || !this.#rotates || Date.parse(line.updated) > lately);
  }

  /** @param {boolean} relearned @param {Set<string>} arrived */
  #arrange(relearned, arrived) {
    const { list } = this.#ui;
    const wanted = new Set(this.#lines.map((line) => line.id));
    for (const [id, { item }] of this.#rows) {
      if (wanted.has(id)) continue;
      this.#keepFocus(item, () => item.remove());
      this.#rows.delete(id);
      this.#waiting.delete(id);
    }
    this.#lines.forEach((line, index) => {
      let row = this.#rows.get(line.id);
      if (!row) {
        row = { item: element("li", { part: "line", class: arrived.has(line.id) ? "arrived" : undefined }), line };
        this.#rows.set(line.id, row);
        this.#fill(row, line);
      } else if (row.line !== line || relearned) {
        this.#fill(row, line);
      }
      if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
    });
  }

  /** @param {Row} row @param {Line} line */
  #fill(row, line) {
    const { words, full, ago } = this.#format;
    const { item } = row;
    const usable = line.status === "usable";
    const published = Date.parse(line.published);
    const banner = { lang: this.#language, dir: this.#ui.frame.dir };
    row.line = line;
    row.time = element("time", { datetime: line.published, title: full(published) });
    row.time.textContent = ago((this.#board?.now ?? Date.now()) - published);

    const meta = element("span", { class: "meta" }, element("bdi", { part: "time", class: "time", ...banner }, row.time));
    const mark = usable ? line.corrected && words.corrected : words[fate(line)];
    if (mark) meta.append(" ", element("bdi", { part: "mark", class: "mark", ...banner }, mark));
    const content = element("p", { class: "line" }, meta);
    if (usable) {
      const href = link(line.url);
      const text = element(href ? "a" : "span", { part: "text", class: "text", href, rel: href && "noopener" });
      text.textContent = line.text ?? "";
      content.append(" ", text);
      if (line.source) content.append(" ", element("bdi", { part: "source", class: "source" }, line.source));
    }
    if (line.note) content.append(" ", element("bdi", { part: "note", class: "note" }, line.note));

    item.lang = line.language;
    item.dir = line.direction === "rtl" ? "rtl" : "ltr";
    item.dataset.status = line.status;
    item.dataset.urgency = line.urgency;
    item.toggleAttribute("data-pinned", line.pinned);
    this.#keepFocus(item, () => item.replaceChildren(content));
  }

  /** Change an item without losing the reader's place on the keyboard. @param {Element} item @param {() => void} change */
  #keepFocus(item, change) {
    const focused = item.contains(this.shadowRoot?.activeElement ?? null);
    change();
    if (focused) (item.isConnected && item.querySelector("a") || this.#ui.bar).focus({ preventScroll: true });
  }

  #tellTimes() {
    const now = this.#board?.now ?? Date.now();
    for (const { time, line } of this.#rows.values()) {
      const told = this.#format.ago(now - Date.parse(line.published));
      if (time && time.textContent !== told) time.textContent = told;
    }
  }

  // Holding still

  get #still() {
    return this.#paused || this.#hovered || this.#focused || this.#unfolded;
  }

  /** @param {"hovered"|"focused"} how @param {boolean} on */
  #hold(how, on) {
    if (how === "hovered") this.#hovered = on;
    else this.#focused = on;
    this.#steer();
  }

  /** Move on, or stay: whatever the reader, the lines and the mode say now. */
  #steer() {
    const { bar, pause, previous, next, position, fresh } = this.#ui;
    if (!this.#still && this.#waiting.size) {
      if (this.#rotates) {
        const newest = [...this.#waiting].at(-1) ?? "";
        this.#waiting.clear();
        return this.#show(newest);
      }
      if (this.#follows) this.#glide();
    }
    const { words, number } = this.#format;
    const waiting = this.#waiting.size ? `${words.fresh}: ${number(this.#waiting.size)}` : "";
    const several = this.#lines.length > 1;
    bar.classList.toggle("waiting", waiting !== "");
    for (const each of [previous, next, position]) each.classList.toggle("idle", !several);
    pause.classList.toggle("idle", !this.#board?.ready);
    pause.querySelector("path")?.setAttribute("d", this.#paused ? ICONS.resume : ICONS.pause);
    pause.ariaLabel = this.#paused ? words.resume : words.pause;
    if (waiting && this.#rotates) pause.ariaLabel += ` (${waiting})`;
    fresh.hidden = !waiting || (this.#follows && !this.#still);
    fresh.textContent = waiting;

    clearTimeout(this.#dwell);
    if (!this.#rotates || this.#still || !several || !this.#joined || calm()) return;
    const characters = this.#rows.get(this.#current)?.line.text?.length ?? 0;
    this.#dwell = setTimeout(
      () => (document.hidden ? this.#steer() : this.#step(1)),
      Math.max(DWELL, characters * DWELL_PER_CHARACTER),
    );
  }

  // One line at a time

  /** Whose turn it is after a change: what was withdrawn, then what is new, else who had it. @param {Change[]} changes */
  #choose(changes) {
    const shown = changes.filter(({ line }) => this.#rows.has(line.id));
    const arrived = shown.filter(({ kind }) => kind === "line");
    const turn = shown.find(({ kind }) => kind === "cancel") ?? arrived.at(-1);
    if (turn && !this.#still) return this.#show(turn.line.id);
    if (this.#current) for (const { line } of arrived) this.#waiting.add(line.id);
    const kept = this.#rows.has(this.#current);
    this.#show(kept ? this.#current : (this.#lines[Math.min(Math.max(this.#turn, 0), this.#lines.length - 1)]?.id ?? ""));
  }

  /** @param {string} id */
  #show(id) {
    const { bar, position } = this.#ui;
    const { number } = this.#format;
    if (id !== this.#current) this.#unfold(false);
    this.#current = id;
    this.#waiting.delete(id);
    this.#turn = this.#lines.findIndex((line) => line.id === id);
    const line = this.#lines[this.#turn];
    for (const [each, { item }] of this.#rows) item.classList.toggle("current", each === id);
    bar.classList.toggle("flash", line?.urgency === "flash" && line.status === "usable");
    position.textContent = `${number(this.#turn + 1)} / ${number(this.#lines.length)}`;
    this.#steer();
    this.#measure();
  }

  /** @param {1|-1} by */
  #step(by) {
    const count = this.#lines.length;
    if (count) this.#show(this.#lines[(this.#turn + by + count) % count].id);
  }

  /** Show a long line in full, over what is below the banner. @param {boolean} on */
  #unfold(on) {
    const { bar, more } = this.#ui;
    const { words } = this.#format;
    this.#unfolded = on;
    bar.classList.toggle("open", on);
    more.textContent = on ? words.less : words.more;
    more.ariaExpanded = String(on);
    this.#steer();
  }

  #measure() {
    const { more, stage } = this.#ui;
    if (this.#rotates) {
      const line = this.#rows.get(this.#current)?.item.firstElementChild;
      // A row too many, that is: some scripts stand out of theirs a little.
      more.hidden = !this.#unfolded && !(line && line.scrollHeight > line.clientHeight * 1.25);
      more.dir = this.#rows.get(this.#current)?.line.direction ?? "";
      stage.removeAttribute("tabindex");
    } else {
      more.hidden = true;
      stage.toggleAttribute("tabindex", stage.scrollHeight > stage.clientHeight); // to scroll by keyboard
      if (stage.hasAttribute("tabindex")) stage.tabIndex = 0;
      this.#scrolled();
    }
  }

  // The list: lines come in from above, and what the reader reads stays where it is

  /** @returns {(arrived: Set<string>) => void} to be called when the rows are in their new places */
  #anchor() {
    const { stage, list } = this.#ui;
    const free = getComputedStyle(stage).getPropertyValue("--ticker-block-size").trim() === "auto"; // it doesn't scroll
    const atTop = stage.scrollTop < 2 || this.#gliding;
    const places = [...this.#rows.values()]
      .map(({ item }) => ({ item, top: item.offsetTop, bottom: item.offsetTop + item.offsetHeight }))
      .filter(({ bottom }) => bottom > stage.scrollTop);
    return (arrived) => {
      const place = places.find(({ item }) => item.isConnected);
      const moved = place ? place.item.offsetTop - place.top : 0;
      if (free || !moved) return;
      const top = Math.max(0, stage.scrollTop + moved);
      const last = /** @type {HTMLElement} */ (list.lastElementChild);
      const below = stage.clientHeight - last.offsetTop - last.offsetHeight;
      list.style.paddingBlockEnd = `${Math.max(0, top + below)}px`; // or there would be nothing to scroll
      stage.scrollTop = top;
      if (!this.#waiting.size) this.#follows = atTop;
      for (const id of arrived) this.#waiting.add(id);
      if (!arrived.size && this.#follows && !this.#still) this.#glide();
    };
  }

  #glide() {
    const { stage } = this.#ui;
    if (stage.scrollTop < 2) return this.#arriveAtTop();
    this.#gliding = true;
    stage.scrollTo({ top: 0, behavior: calm() ? "instant" : "smooth" });
  }

  #scrolled() {
    const { stage } = this.#ui;
    stage.classList.toggle("below", stage.scrollTop + stage.clientHeight < stage.scrollHeight - 2);
    if (stage.scrollTop < 2) this.#arriveAtTop();
  }

  #arriveAtTop() {
    this.#gliding = false;
    this.#ui.list.style.paddingBlockEnd = "";
    if (!this.#waiting.size) return;
    this.#waiting.clear();
    this.#steer();
  }
}

if (globalThis.customElements && !customElements.get("breaking-ticker")) {
  customElements.define("breaking-ticker", BreakingTicker);
}
