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
 * @typedef {{kind: "line"|"correction"|"cancel", line: Line}} Change
 *   `line` is new; `correction` has other words, or has them again; `cancel` lost them (held or killed).
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

// Connection, in milliseconds

const FIRST_FRAME = 10_000; // what lets nothing through for so long is no connection; what lasts longer is one
const DELAYED = 35_000; // without a frame: beats come every 20 to 25 s. FIRST_FRAME later it is dead
const ANSWER = 3_000; // a leading tab that doesn't say a word in it is frozen
const BACKOFF = 500; // doubled with every failure, six times at most
const POLL = 20_000; // at most: each pause is drawn from 0 to this, so that readers spread out
const REST = 60_000; // after a page was last seen
const LONG = 600_000; // between tries of a WebSocket where it fails; and the most that Retry-After can ask for
const REFUSED = 30_000; // until a channel that the server doesn't have is asked for again: doubled each time, up to LONG

/** Ids and cursors are `MS-N`: compared number by number. (An `Intl.Collator` could, and takes 7 ms to make.)
 * @param {string} a @param {string} b */
const compare = (a, b) => parseInt(a) - parseInt(b) || +a.split("-")[1] - +b.split("-")[1];

/** Oldest first. @param {Line} a @param {Line} b */
const order = (a, b) => compare(a.id, b.id);

/** @param {Line} line @returns {number} in milliseconds; Infinity for never */
const expiry = (line) => Date.parse(/** @type {string} */ (line.expires)) || Infinity;

/**
 * What a channel shows now: frames folded into ordered lines. Pure, but for the clock. Each kind of frame has its
 * method. What a board frame says is here by the names that it has there.
 */
export class Board {
  /** In order: pinned first, then newest first. @type {Line[]} */
  lines = [];
  /** Server's time less ours. Until that is known, nothing expires. */
  #offset = -Infinity;
  #newest = "0-0";

  /** The server's time, in milliseconds. @returns {any} */
  get now() {
    return Date.now() + this.#offset;
  }

  /** @param {string|number} time */
  set now(time) {
    this.#offset = /** @type {any} */ (new Date(time)) - Date.now() || 0;
  }

  /** Forget what shows no more. */
  prune() {
    let room = /** @type {any} */ (this).max_lines;
    this.lines = this.lines
      .filter((line) => expiry(line) > this.now)
      .sort((a, b) => /** @type {any} */ (b.pinned) - /** @type {any} */ (a.pinned) || order(b, a))
      .filter((line) => line.status !== "usable" || room-- > 0);
  }

  /**
   * Take a whole board in place of all we hold.
   * @param {BoardFrame} frame
   * @returns {Change[]} oldest first; none for the first board: it is where we start, not news
   */
  board(frame) {
    const { ready, lines } = this;
    const sorted = frame.lines.sort(order);
    // It may come out of a cache, so that its `now` is old: time doesn't go back.
    const now = Math.max(this.now, /** @type {any} */ (new Date(frame.now)));
    Object.assign(this, frame, { lines: [], now });
    this.ready = true;
    const changes = sorted.flatMap((line) => this.#put(line, lines));
    this.prune();
    return ready ? changes : [];
  }

  /**
   * Take one event.
   * @param {LineFrame} frame
   * @returns {Change[]|undefined}
   */
  line({ cursor, prev, line }) {
    if (cursor === this.cursor) return [];
    if (prev !== this.cursor) return (this.cursor = undefined);
    const changes = this.#put(line, this.lines, true);
    /** The event we stand at: null on an empty channel, undefined when a board is wanted.
     * @type {string|null|undefined} */
    this.cursor = cursor;
    this.prune();
    return changes;
  }

  /** @param {BeatFrame} frame */
  beat({ cursor, now }) {
    this.now = now;
    if (cursor !== this.cursor) this.cursor = undefined;
  }

  /**
   * @param {Line} line
   * @param {Line[]} held until now
   * @param {boolean} [event] rather than part of a board
   * @returns {Change[]} one or none
   */
  #put(line, held, event) {
    const before = held.find((each) => each.id === line.id);
    const newer = compare(line.id, this.#newest) > 0;
    const usable = line.status === "usable";
    if (newer) this.#newest = line.id;
    if (!usable) {
      // The server left its words out; see that they are.
      const { text, url, source, corrected, ...tombstone } = line;
      line = /** @type {Line} */ (tombstone);
    }
    this.lines = [...this.lines.filter((each) => each !== before), line];
    const touched = before ? before.status !== line.status || before.corrected !== line.corrected : event;
    /** @type {Change["kind"]|undefined|false} */
    const kind = usable && newer && !before ? "line" : touched && (usable ? "correction" : "cancel");
    return kind ? [{ kind, line }] : [];
  }
}

/**
 * What is told who joined a channel: that its board changed, and how; `missed` where that came as a whole board after
 * an absence. With nothing: that the connection's state changed.
 * @typedef {(changes?: Change[], missed?: boolean) => void} Listener
 */

/** Throws the answer where it is a refusal. @param {string} url @param {RequestInit} [more] */
const request = async (url, more) => {
  const response = await fetch(url, { credentials: "omit", ...more });
  if (!response.ok) throw response;
  return response;
};

/** @param {string} channel */
const boardOf = (channel) => `/v1/channels/${encodeURIComponent(channel)}/lines`;

const QUIET = 0; // why a connection was ended: there is something better to do

/**
 * One connection to one server, for all its channels that a page shows; and for all tabs of the site, where the
 * browser lets them speak with one another. Knows no DOM.
 *
 *     WebSocket ──fails──▶ SSE ──fails──▶ polling
 *         ▲─after 10 s, then every 10 min─┴──────┘
 *
 * The tab that holds the Web Lock leads: it connects, and passes on what it takes over a BroadcastChannel. The
 * others follow, and ask it for what they miss. When it goes, the next one leads, from the cursor that it holds
 * itself. Only tabs that can be seen, or could a minute ago, lead or follow. Where tabs can't speak, each leads.
 *
 * @param {string} server
 */
const connect = (server) => {
  /** @type {Record<string, Board>} */
  const boards = /** @type {any} */ ({ __proto__: null });
  /** Who joined which channel, in this page. @type {Map<Listener, string>} */
  const members = new Map();
  /** When another tab last asked. @type {Record<string, number>} */
  const asked = {};
  /** What the connection carries. @type {Record<string, Board>} */
  let carried = {};
  /** Channels that the server doesn't have, or closes on: asked for again by themselves, and rarely.
   * @type {string[]} */
  let refused = [];
  let refusedPause = REFUSED;
  let refusedTimer = 0;
  /** Of which channels the console was told why they show nothing. */
  const told = new Set();
  /** @type {State} */
  let state = "connecting";
  let transport = 0; // 0: WebSocket, 1: SSE, 2: polling
  /** Ends all that we do. @type {AbortController|undefined} */
  let running;
  /** Ends what the leader waits for, a connection or a pause. Undefined: we follow.
   * @type {AbortController|undefined} */
  let attempt;
  /** @type {BroadcastChannel|undefined} */
  let tabs;
  /** The same, once there is another tab. @type {BroadcastChannel|undefined} */
  let others;
  /** From when a WebSocket is worth another try, where there is something else. */
  let due = Date.now() + FIRST_FRAME;
  let watchdog = 0;
  let resting = 0;
  /** Timers, until the next line of a channel expires. @type {Record<string, number>} */
  const expiring = {};

  const feed = {
    /** When the last frame came, in our clock's milliseconds; until then, when we began. */
    heard: Date.now(),

    /** @param {string} channel @param {Listener} listener @returns {Board} */
    join(channel, listener) {
      members.set(listener, channel);
      settle();
      return (boards[channel] ??= new Board());
    },

    /** @param {Listener} listener */
    leave(listener) {
      members.delete(listener);
      settle();
    },

    /** @param {string} channel @returns {State} */
    state: (channel) =>
      refused.includes(channel) ? "offline" : state === "live" && !boards[channel]?.ready ? "connecting" : state,

    /**
     * Say in the console, once, why a banner that is offline has no lines.
     * @param {string} channel "" where it names none
     */
    async explain(channel) {
      const unknown = !channel || refused.includes(channel);
      const reason = unknown ? channel : "away";
      if (told.has(reason) || !(unknown || !boards[channel].ready)) return;
      told.add(reason);
      let why;
      try {
        const { channels } = await (await request(server + "/v1/channels")).json();
        why = `has these: ${channels.map((/** @type {any} */ each) => each.slug).join(", ")}`;
        if (!unknown) return;
      } catch (/** @type {any} */ error) {
        why = `is no Ticker server: ${error.status ?? error}`;
      }
      console.error(`<breaking-ticker channel="${channel}">: ${server} ${why}`);
    },

    /** Connect anew, now, and take whole boards. */
    refresh() {
      refused = [];
      for (const channel in boards) boards[channel].cursor = undefined;
      run(true);
    },
  };

  /** Try again from the top; no reader need hear of it. */
  const again = () => {
    transport = 0;
    attempt?.abort(QUIET);
  };

  /** A moment later: the other banners of the page join first, and one that is moved comes back. */
  const settle = () =>
    setTimeout(() => {
      ask();
      wake();
      carry();
    });

  /** What we and the other tabs want; the rest is forgotten. */
  const wanted = () =>
    Object.keys(boards).filter((channel) => {
      if ([...members.values()].includes(channel) || asked[channel] > Date.now() - REST)
        return !refused.includes(channel);
      delete boards[channel];
    });

  const carry = () => {
    if (wanted().some((channel) => boards[channel] !== carried[channel])) again();
  };

  // When there is a connection, and whose

  const wake = () => {
    clearTimeout(resting);
    if (!members.size) stop();
    // @ts-ignore: not in every browser
    else if (document.hidden) resting = setTimeout(stop, navigator.connection?.saveData ? 0 : REST);
    else if (running) for (const channel in boards) emit(boards[channel], [], true);
    else run();
  };

  const stop = () => {
    running?.abort();
    again();
    tabs?.close();
    running = attempt = tabs = others = undefined;
    clearTimeout(watchdog);
    clearTimeout(refusedTimer);
    setState("connecting");
  };

  /** Follow, and lead when it is our turn. @param {boolean} [steal] now @returns {Promise<void>} */
  const run = async (steal) => {
    stop();
    const { signal } = (running = new AbortController());
    try {
      tabs = navigator.locks && new BroadcastChannel("ticker:" + server);
      tabs.onmessage = hear;
      ask();
      watch(ANSWER);
      await navigator.locks.request("ticker:" + server, steal ? { steal } : { signal }, () => lead(signal));
    } catch {
      if (signal.aborted) return;
      if (attempt) run(); // another tab took the lead: it heard nothing from us
      else lead(signal); // tabs can't speak with one another here
    }
  };

  // Among tabs

  /** For whole boards, where the leader doesn't stand at the event that we stand at; and for a word from it. */
  const ask = () =>
    tabs?.postMessage({ ask: [...members.values()].map((channel) => [channel, boards[channel].cursor]) });

  /** @param {string} [frame] */
  const tell = (frame) => {
    if (attempt) others?.postMessage({ state, refused, frame });
  };

  /** @param {MessageEvent} message */
  const hear = ({ data }) => {
    others = tabs;
    if (data.ask) {
      for (const [channel, cursor] of data.ask) {
        const board = (boards[channel] ??= new Board());
        asked[channel] = Date.now();
        if (board.cursor !== undefined && board.cursor !== cursor) tell(JSON.stringify({ ...board, now: board.now }));
      }
      tell();
      carry();
    } else if (!attempt) {
      refused = data.refused;
      watch();
      receive(data.frame);
      setState(data.state);
    }
  };

  // The leader's

  /** @param {AbortSignal} signal */
  const lead = async (signal) => {
    let failures = 0; // in a row
    retryRefused();

    for (transport = 0; !signal.aborted; ) {
      const began = Date.now();
      const { signal: ended } = (attempt = new AbortController());
      const channels = wanted();
      let live = "/v1/live?";
      for (const channel of channels)
        live += `&channel=${encodeURIComponent(channel)}&cursor=${channel}:${boards[channel].cursor ?? ""}`;
      let retry = 0;
      carried = { ...boards };
      if (!channels.length) transport = 2;
      watch(FIRST_FRAME);
      try {
        if (transport > 1)
          for (const channel of channels)
            await get(boardOf(channel), ended).catch((error) => {
              if (error.status === 404) refuse([channel], REFUSED);
              throw error;
            });
        else if (transport) await get(live, ended);
        else await socket(live, ended);
      } catch (/** @type {any} */ error) {
        retry = Math.min(LONG, error.headers?.get("Retry-After") * SECOND) || 0;
      }

      const heard = feed.heard > began;
      const polling = transport > 1;
      if (feed.heard - began > (polling ? 0 : FIRST_FRAME)) failures = 0;
      if (ended.reason === QUIET) continue;

      if (heard ? !polling : polling || retry) setState(heard && state === "live" ? "connecting" : "offline");
      if (!heard) transport = (transport + 1) % 3;
      // A pause, which the watchdog ends. Full jitter:
      // https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
      const most = heard && polling ? POLL : retry || BACKOFF * 2 ** Math.min(6, ++failures);
      watch(retry + Math.random() * most);
      await new Promise((resolve) => ((attempt = new AbortController()).signal.onabort = resolve));
    }
  };

  /** @param {string} path @param {AbortSignal} signal */
  const socket = (path, signal) =>
    new Promise((resolve) => {
      const socket = new WebSocket(server.replace("http", "ws") + path);
      socket.onmessage = ({ data }) => {
        due = Date.now() + FIRST_FRAME;
        receive(data);
      };
      signal.onabort = socket.onclose = (/** @type {any} */ { code }) => {
        socket.close();
        if (/^(1008|44)/.test(code)) refuse(wanted(), LONG);
        resolve(0);
      };
    });

  /**
   * Take frames by HTTP, one a line: a stream of them, or a single one. It accepts what every `fetch` does; of the
   * live address that is the stream.
   * @param {string} path @param {AbortSignal} signal
   */
  const get = async (path, signal) => {
    // The browser asks with If-None-Match; set by hand it would cost a CORS preflight.
    const response = await request(server + path, { cache: "no-cache", signal });
    let rest = "";
    const stream = /** @type {ReadableStream} */ (response.body).pipeThrough(new TextDecoderStream());
    await stream.pipeTo(
      new WritableStream({
        write(text) {
          rest = (rest + text).replace(/[^\n]*\n/g, (/** @type {string} */ line) => {
            receive(line.slice(5)); // without its "data:"; what else there is isn't JSON
            return "";
          });
        },
      }),
    );
    receive(rest);
  };

  // Frames

  /** @param {string} data */
  const receive = (data) => {
    let frame, board, result;
    try {
      frame = JSON.parse(data);
      board = boards[frame.channel];
      // @ts-ignore: what isn't ours throws
      result = board[frame.type](frame);
    } catch {
      return; // none at all, a proxy's, an extension's, or of a channel that isn't shown here
    }
    const missed = !!frame.lines && state !== "delayed"; // where we poll, every frame is a board
    feed.heard = Date.now();
    if (attempt) {
      tell(data); // before our state: by their own they tell whether they were away
      setState(transport > 1 ? "delayed" : "live");
      watch();
    }
    if (result?.map) emit(board, result, missed);
    else if (board.cursor === undefined) attempt?.abort();
    if (result && frame.line) return; // it came to all readers at once; beats and polls come to each in its turn
    ask();
    if (feed.heard > due) {
      due = feed.heard + LONG;
      again();
    }
  };

  /** @param {any} board @param {Change[]} changes @param {boolean} [missed] */
  const emit = (board, changes, missed) => {
    const { channel } = board;
    for (const [listener, joined] of members) if (joined === channel) queueMicrotask(() => listener(changes, missed));
    clearTimeout(expiring[channel]);
    expiring[channel] = setTimeout(
      () => {
        board.prune();
        emit(board, []);
      },
      Math.min(LONG, ...board.lines.map((/** @type {Line} */ line) => expiry(line) - board.now)),
    );
  };

  // What we say of ourselves

  /** @param {string[]} channels @param {number} pause until they are asked for again */
  const refuse = (channels, pause) => {
    refused = [...new Set([...refused, ...channels])];
    refusedPause = pause;
    retryRefused();
    setState("offline");
    again();
  };

  /** Ask for what was refused, apart from the connection: together, one that isn't there costs all the others theirs. */
  const retryRefused = () => {
    clearTimeout(refusedTimer);
    if (!refused.length) return;
    refusedTimer = setTimeout(
      async () => {
        for (const channel of refused) {
          if (!attempt || !boards[channel]) continue;
          try {
            await get(boardOf(channel), /** @type {AbortController} */ (running).signal);
            refused = refused.filter((each) => each !== channel);
            emit(boards[channel], []);
          } catch {} // it isn't there yet, or we are offline altogether
        }
        refusedPause = Math.min(LONG, refusedPause * 2);
        retryRefused();
        carry();
      },
      refusedPause * (0.5 + Math.random()),
    );
  };

  /** @param {State} now */
  const setState = (now) => {
    if (now === state) return;
    state = now;
    for (const [listener] of members) queueMicrotask(listener);
    tell();
  };

  /** Be told when nothing is heard. @param {number} ms */
  const watch = (ms = DELAYED) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      if (ms === DELAYED) {
        if (state === "live") setState("delayed");
        ask();
        watch(FIRST_FRAME);
      } else if (attempt) attempt.abort();
      else run(true);
    }, ms);
  };

  addEventListener("pagehide", stop); // or the page would be kept out of the back/forward cache
  addEventListener("pageshow", wake);
  addEventListener("visibilitychange", wake);
  addEventListener("online", again);
  return feed;
};

/** @typedef {ReturnType<typeof connect>} Feed */

/** @type {Record<string, Feed>} */
const feeds = {};

export const Feed = {
  /** The page's one feed of a server. @param {string} server base URL, no slash at its end */
  at: (server) => (feeds[server] ??= connect(server)),
};

// Banner

const DWELL = 6 * SECOND; // a line's turn in rotate mode,
const DWELL_PER_CHARACTER = 60; // or as long as it takes to read it aloud
const SPEED = 80; // pixels per second on the belt, the same for all
const BELT = 0.5 * SECOND; // between two looks whether there is room on it
const RETRACTION_ROTATES = 15 * MINUTE; // rotate and scroll show what was withdrawn lately; list shows all of it
const REFRESH_TIMES = 15 * SECOND;
/** In minutes; what is less than one is now. @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 1440], ["hour", 60], ["minute", 1]]; // prettier-ignore
const SAY_AFTER = 0.5 * SECOND; // a burst is announced as one
const SAY_AT_MOST = 3; // the newest of a burst
const SAID_FOR = 10 * SECOND; // then the live region is emptied
/** What follows in the page, and is inside a tag that isn't closed. No one means it to be shown until there are lines. */
const FOLLOWS = "main,article,header,footer,h1,script";
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
  resume: "Resume",
  empty: "No breaking news right now",
  next: "Next",
  previous: "Previous",
  pause: "Pause",
  fresh: "New",
  flash: "Flash",
  close: "Close",
  away: "While you were away",
};

/** By the address that they come from. @type {Record<string, Promise<Partial<Words>>|undefined>} */
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
  const made = Object.assign(document.createElement(tag), name && { className: name, part: name }, properties);
  made.append(...children);
  return made;
};

/** @param {Node} node @param {string} text */
const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

const lessMotion = globalThis.matchMedia?.("(prefers-reduced-motion:reduce)");

// What is said (WCAG 2.2, 4.1.3), in the light DOM. The tag is no one else's: what morphs a page takes a <div> for one
// of its own.

/** The page's one live region, empty until something is said. @type {HTMLElement} */
let liveRegion;
/** It, and beside it the alerts: within it, they might be said twice. @type {HTMLElement} */
let announcer;
let listeners = 0;
let announceTimer = 0;
/** To be said next, as one: by line. @type {Map<string, Node>} */
const sentence = new Map();

/** Put it into the page: what morphs or replaces that takes it away. */
const attach = () => {
  if (announcer.isConnected) return;
  for (const copy of document.querySelectorAll(announcer.localName)) copy.remove(); // of a page that was kept, or cloned
  document.body?.append(announcer);
};

/** @param {number} by how many banners more */
const listen = (by) => {
  if (!announcer) {
    liveRegion = make("div", "", { ariaLive: "polite" });
    announcer = document.createElement("ticker-announcer");
    // By CSSOM, not by a style attribute: the page's Content-Security-Policy may forbid those.
    announcer.style.cssText = "position:fixed!important;clip-path:inset(50%)!important";
    announcer.append(liveRegion);
  }
  listeners += by;
  if (listeners) attach();
  else announcer.remove();
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
  attach();
  const part = make("p", "", alert && { role: "alert" }, ...words);
  liveRegion.replaceChildren(); // an alert may not have been heard yet
  sentence.delete(key);
  if (alert) announcer.append(part);
  else sentence.set(key, part);
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => {
    liveRegion.append(...[...sentence.values()].slice(-SAY_AT_MOST));
    sentence.clear();
    announceTimer = setTimeout(() => {
      liveRegion.replaceChildren();
      announcer.replaceChildren(liveRegion);
    }, SAID_FOR);
  }, SAY_AFTER);
};

const STYLE = `
/* As wide as there is room, in any layout; where it is asked what it needs by itself, a small phone's width. */
:host { display: block; break-inside: avoid; writing-mode: horizontal-tb; flex-shrink: 999999;
  min-width: min(12em,100%); width: -moz-available; width: -webkit-fill-available; width: stretch }
:host([sticky]) { position: sticky !important; z-index: var(--ticker-z-index,9); top: 0 }
:host([sticky="bottom"]) { top: auto; bottom: 0 }
:host([hidden]), [hidden], .fresh:empty,
.frame:not(.rotate) .controls :not(.pause, .close), :host([controls="none"]) .controls :not(.pause, .close),
:host(:not([dismissible])) .close, :host([hide-when-empty]) .frame:not(:has(li, .wait:not([hidden]))),
.empty:has(+ * li) {
  display: none !important }
.wait { display: block }
* { all: unset; box-sizing: border-box; unicode-bidi: isolate }

.frame {
  --accent: var(--ticker-accent,#b3131b);
  --rule: 1px solid var(--ticker-rule,light-dark(#dcdfe4,#353941));
  --surface: var(--ticker-surface,light-dark(#fff,#17191d));
  --ink: var(--ticker-ink,light-dark(#15171a,#f2f3f5));
  --dim: var(--ticker-muted,light-dark(#5a606a,#a8aeb8));
  --on: var(--ticker-on-accent,#fff);
  --gutter: var(--ticker-gutter,1em);
  --red: light-dark(var(--accent),color-mix(in oklab,var(--accent),#fff 52%));
  all: initial;
  display: block;
  width: 100%;
  container-type: inline-size;
  contain-intrinsic-inline-size: min(20em,80vw);
  font: inherit;
  color-scheme: inherit;
  font-family: var(--ticker-font,inherit);
  line-height: 1.4;
  overflow-wrap: anywhere;
}
:host([theme="light"]) .frame { color-scheme: light }
:host([theme="dark"]) .frame { color-scheme: dark }

.bar {
  grid: 4.5em / fit-content(40%) minmax(0,1fr) auto;
  border-block: var(--rule);
  background: var(--surface);
  color: var(--ink);
  display: grid;
}
:focus-visible { outline-offset: -3px; outline: 2px solid }
button, a { cursor: pointer }
/* The words of a link can be selected, from beside it: they lie above what makes the whole line a link. */
li:has(a) { isolation: isolate }
li:has(a) .words { pointer-events: none }
.words * { pointer-events: auto }
a::after { z-index: -1 }
a:hover { text-decoration: underline }
button { min-height: 44px; font: 1.25em system-ui; min-width: 44px }
.position { min-width: 3em }
.head, .empty, .stage .wait, li, .away { display: grid; align-content: center; position: absolute;
  padding-inline: var(--gutter); inset: 0 }
/* Over the edge of what is beside it: no seam where that has the same colour. */
.head { overflow: hidden; position: relative; line-height: 1.15; border-inline-end: 1px solid #0000; margin-inline-end: -1px; min-width: 9em;
  background: var(--accent); color: var(--on) }
/* A no-break space after the dot: it is no row of its own. */
.label { font-size: .9em; text-transform: uppercase }
.label::before { content: "● " / "" }
:host(:not([state="live"])) .label::before { content: "○ " / "" }
.fresh, .state { min-height: 0; contain: inline-size; font-size: .7em }
:is(.fresh, a)::after { content: ""; position: absolute; inset: 0 }
.controls { display: flex; order: 1; text-align: center; align-items: center; color: var(--dim) }
.stage { position: relative; z-index: var(--z) }
.time, .source, .note, .position, .mark, .flash, .pause { font-size: .85em }
.time, .source, .note, .empty { color: var(--dim) }
.mark, .flash { padding: 0 .4em; border: 1px solid; line-height: 1 } /* no row is higher for it */
.fresh, .label, .mark, .flash, .pause, .text, .away { font-weight: 700 }
.away { background: var(--surface) }

.frame:not(.list) li:not(.on) { display: none }
.words { text-wrap: pretty; word-spacing: .3em; text-align: match-parent }
.words * { word-spacing: 0 }
.frame:not(.list) .words { font-size: 1.1em; overflow: hidden }
.rotate .words { -webkit-box-orient: vertical; -webkit-line-clamp: var(--rows,2); display: -webkit-box }
/* WebKit doesn't see that :has() changed, unless the rule is about that very element. */
.controls :not(.pause, .close) { visibility: var(--v) }
.bar:not(:has(li + li)) { --v: hidden }
/* A line that is too long for its place is read in full, over what is below, by pointing at it or going there. */
.rotate .bar:is(:hover, :focus-within) { --z: 1; --rows: 99 }
.rotate .on { min-height: calc(100% + 1px); bottom: auto; border-block-end: var(--rule); background: var(--surface) }
.rotate .bar:has(.on .flash) { --dim: var(--on); --ink: var(--on); --surface: var(--accent) }

.scroll .bar { grid-template-rows: 3.5em }
.scroll .stage { overflow: clip }
.scroll li { width: max-content; padding-inline-end: 3em }
.scroll .words { white-space: nowrap }

@container (width < 42em) {
.bar{grid:max(44px,2.75em)5.5em/minmax(0,1fr)auto;--rows:3}.head{min-width:0}.stage{order:2;grid-column:1/3}
.scroll .bar{grid-template-rows:max(44px,2.75em)3em}.controls{background:var(--accent);color:var(--on)}}
/* Who uses cqi has its style computed twice: no more than need be. */
@container (width < 24em) {
.bar{--each:9em;--gutter:min(var(--ticker-gutter,1em),4cqi)}.position{display:none}.label{font-size:min(.9em,4.7cqi)}}

.list .bar { grid: max(44px,2.75em) minmax(0, 1fr) / minmax(0,1fr) auto; border-top: 3px solid var(--accent);
  height: var(--ticker-block-size,min(var(--max) * var(--each,5em) + 3em,34em)) }
.list :is(.head, .controls) { color: var(--red); background: none }
.list .stage { overflow: auto; order: 2; grid-column: 1/3 }
/* Rows step down for what is new, inside a block that keeps its height: browsers don't count it as a layout shift of
   the page where rows are sticky, to no edge. (To put them in anew would do, too, for a third more of the main thread.) */
.list .stage :not(a) { position: sticky; inset: auto }
.list :is(.empty, .wait, li, .away) { border-top: var(--rule); padding-block: .8em }
.list :is(.note, .text) { display: block }
[data-urgency="update"] .text { font-weight: 400 }
.frame:not(.rotate) :is(.flash, .flash ~ .text) { color: var(--red) }
.list .stage .away { inset: 0 }

@media (forced-colors: active) { .flash { border-width: 2px } }
@media print { /* all lines, dark, with the time itself, and nothing to press */
  :host { position: static !important; break-inside: auto }
  .frame * { background: none !important; color: #000 !important }
  .controls, .fresh, .away { display: none !important }
  .bar, .head, .stage, li, .words { all: unset !important; display: block !important }
  .stage li { border-top: 1px solid !important; padding: .3em 0 !important }
  .time::after { content: " (" attr(datetime) ")" }
}
`;

/**
 * Keep a sticky banner on the screen. CSS does that, as long as what is around it reaches to the end of the page, and
 * `bottom` stands at that end: else it is taken out of the flow.
 * @param {HTMLElement} host
 * @param {CSSStyleSheet} sheet of its own, for where it stands then
 * @param {AbortSignal} signal ends it
 */
const keepPlace = (host, sheet, signal) => {
  const sticky = host.getAttribute("sticky");
  if (sticky === null) return;
  const edge = sticky === "bottom" ? sticky : "top";
  /** Keeps its room at the top, meanwhile. The tag is no one else's. */
  const room = document.createElement("ticker-room");
  let out = false;
  /** For what the page leaves free. */
  const free = new CSSStyleSheet();
  let covered = 0;
  document.adoptedStyleSheets.push(free);

  /**
   * Nothing that has focus is behind the banner (WCAG 2.2, 2.4.11), nor is the end of the page. Where the page leaves
   * enough free by itself, that is left as it is.
   * @param {number} size
   */
  const leaveFree = (size) => {
    if (covered === size) return;
    covered = size;
    free.replaceSync("");
    const own = /** @type {any} */ (getComputedStyle(document.documentElement));
    const rule = (/** @type {string} */ name, /** @type {number} */ px) =>
      `${name}:${Math.max(px, parseFloat(own[name]) || 0)}px!important;`;
    free.replaceSync(
      `@media not print{html{${rule(`scroll-padding-${edge}`, size)}${rule("padding-bottom", edge === "bottom" ? size : 0)}}}`,
    );
  };

  const putBack = () => {
    out = false;
    sheet.replaceSync("");
    room.remove();
  };

  const place = () => {
    const { left, top, width, height } = host.getBoundingClientRect();
    const inset = parseFloat(getComputedStyle(host)[edge]) || 0;
    let within = false; // something that scrolls by itself
    for (let each = host.parentElement; each && each !== document.body; each = each.parentElement)
      within ||= each.scrollHeight > each.clientHeight && /auto|scroll/.test(getComputedStyle(each).overflowY);

    if (out && !(height && (edge === "bottom" || room.getBoundingClientRect().top < inset))) putBack();
    else if (!out && height && !within && (edge === "bottom" || top < inset - 1)) {
      out = true;
      room.style.cssText = `display:block;flex:none;height:${height}px;width:${width}px`;
      if (edge === "top") host.before(room);
      sheet.replaceSync(
        `@media not print{:host([sticky]){position:fixed!important;inset:auto!important;${edge}:${inset}px!important;left:${left}px!important;width:${width}px!important;margin:0!important}}`,
      );
    }
    leaveFree(height && !within ? height + inset : 0);
  };

  const placeAnew = () => {
    covered = 0;
    putBack();
    place();
  };

  const sizes = new ResizeObserver(placeAnew);
  sizes.observe(host);
  sizes.observe(host.parentElement ?? host);
  addEventListener("scroll", place, { capture: true, passive: true, signal });
  addEventListener("resize", placeAnew, { signal });
  signal.addEventListener("abort", () => {
    sizes.disconnect();
    putBack();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== free);
  });
};

/**
 * A line in the list: its parts by name; and on the belt, where in pixels it began, how long it is, and how it moves.
 * @typedef {{item: HTMLLIElement, words: HTMLElement, parts: Record<string, HTMLElement>, line: Line, from: number,
 *   size: number, motion?: Animation}} Row
 */

/** @type {CSSStyleSheet|undefined} */
let sheet;

/** What is inside a banner. @param {HTMLElement} host @param {ElementInternals} internals */
const inside = (host, internals) => {
  /** Of the channel, while there is one. @type {any} */
  let board;
  /** Its connection. @type {Feed} */
  let feed;
  /** While the banner is in a page: ends what it listens to there. @type {AbortController|undefined} */
  let joined;
  /** Whether words were selected when it was last seen to. */
  let holding = false;
  /** Of the page's banners, when it came. */
  let nth = 0;
  let server = "";
  let channel = "";
  let max = 0;
  /** Its language, as it was asked for. @type {string|undefined} */
  let asked;
  let locale = "en";
  let dir = "";
  let words = ENGLISH;
  /** @type {Intl.RelativeTimeFormat} */
  let relative;
  /** "rotate", "list" or "scroll". */
  let mode = "";

  /** What is in the list, by id. @type {Map<string, Row>} */
  const rows = new Map();
  /** What the reader may see now, in order. @type {Line[]} */
  let lines = [];
  /** Ids of lines that came while the reader held the banner still. @type {string[]} */
  let held = [];
  /** What came while the page was hidden, the last of each line. @type {Map<string, Change>} */
  const unseen = new Map();
  /** Ids of what is to be shown next: kills before all. @type {string[]} */
  let queue = [];
  /** Whose turn it is, and its place. */
  let current = "";
  let turn = 0;
  /** What is on the belt, in the order in which it came. @type {Row[]} */
  let belt = [];
  let paused = false;
  let dismissed = false;
  /** Whether a list was scrolled; kept, for to ask costs a layout. */
  let scrolled = false;
  let dwell = 0;
  let clock = 0;
  let warned = false;

  // The tree

  /** @param {string} name @param {string} sign @param {() => void} onclick */
  const button = (name, sign, onclick) => make("button", name, { onclick }, sign);
  const label = make("slot", "label", { name: "label" });
  const status = make("span", "state");
  const fresh = button("fresh", "", () => release());
  const list = make("ol", "lines", { role: "list" }); // list-style: none costs the role in Safari
  const empty = make("slot", "empty", { name: "empty" });
  // What the page put inside: where the lines will be, until there are some; below, where it isn't for that.
  const wait = make("div", "wait", false, make("slot", "", { onslotchange: () => render() }));
  const away = make("div", "away", { hidden: true });
  const onscroll = () => {
    scrolled = stage.scrollTop > 2;
    steer();
  };
  const stage = make("div", "stage", { onscroll }, wait, empty, list, away);
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
    button("close", "×", () => tell("dismiss", { channel }) && dismiss()),
  );
  const bar = make("section", "bar", false, make("div", "head", false, label, status, fresh), controls, stage);
  const frame = make("div", "frame", false, bar);
  // Where focus goes when what has had it is gone with all that is around it: Tab goes on from there.
  const spot = make("span", "", { tabIndex: -1 });
  const placing = new CSSStyleSheet();
  const root = host.attachShadow({ mode: "open" });
  if (!sheet) {
    sheet = new CSSStyleSheet(); // a <style> would need style-src 'unsafe-inline'
    sheet.replaceSync(STYLE);
  }
  root.adoptedStyleSheets = [sheet, placing];
  root.append(spot, frame);
  // Between two buttons focus is nowhere, for a moment: it stays within.
  // Not pointerenter: in Firefox that comes before :hover.
  for (const type of /** @type {("focusin")[]} */ (["mouseenter", "mouseleave", "focusin", "focusout"]))
    bar.addEventListener(type, ({ relatedTarget }) => bar.contains(/** @type {Node} */ (relatedTarget)) || steer());

  // The channel

  /** @param {string} name */
  const attribute = (name) => host.getAttribute(name) ?? "";

  const join = () => {
    joined = new AbortController();
    const { signal } = joined;
    nth ||= listeners;
    channel = attribute("channel");
    mode = attribute("mode");
    if (mode !== "list" && (lessMotion.matches || mode !== "scroll")) mode = "rotate";
    frame.className = `frame ${mode}`;
    stage.tabIndex = mode === "list" ? 0 : -1; // to scroll by keyboard
    max = +attribute("max") || Infinity;
    bar.style = `--max:${Math.min(max, 99)}`;
    keepPlace(host, placing, signal);
    document.addEventListener("selectionchange", () => selected() === holding || steer(), { signal });
    lessMotion.addEventListener("change", () => leave() && join(), { signal });
    server = new URL(import.meta.url).origin;
    try {
      server = new URL(attribute("src") || server, document.baseURI).href.replace(/\/+$/, "");
    } catch {} // no address: as if there were none
    feed = Feed.at(server);
    // A framework may give it its channel a moment later.
    if (!channel) setTimeout(() => signal.aborted || feed.explain(channel), SECOND);
    else {
      board = feed.join(channel, take);
      clock = setInterval(() => {
        attach();
        rows.forEach(tellTime);
      }, REFRESH_TIMES);
      render();
    }
  };

  /** @returns {boolean} whether there was something to leave */
  const leave = () => {
    if (!joined) return false;
    joined.abort();
    feed.leave(take);
    clearInterval(clock);
    clearTimeout(dwell);
    joined = board = undefined;
    unseen.clear();
    held = queue = [];
    clear();
    return true;
  };

  /** @param {string} type @param {{line: Line}|{state: State}|{channel: string}} detail
   * @returns {boolean} false when canceled */
  const tell = (type, detail) =>
    host.dispatchEvent(
      new CustomEvent(`ticker:${type}`, {
        bubbles: true,
        cancelable: /open|dismiss/.test(type),
        composed: true,
        detail,
      }),
    );

  /** @type {Listener} `missed` while nobody looked, or none could hear */
  const take = (all, missed) => {
    if (!all || !board) return render();
    missed ||= !!unseen.size; // with nothing new, too: when the page is seen again
    for (const each of all) unseen.set(each.line.id, each);
    const changes = [...unseen.values()].filter(({ line }) => !document.hidden && wants(line));
    if (!document.hidden) unseen.clear();
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
    queue = [killed, missed ? mended : [], arrived.reverse(), queue].flat();
    if (missed && changes.length) {
      const said = [words.away, count("canceled", killed), count("corrected", mended), count("fresh", arrived)];
      write(away, said.filter(Boolean).join(" · "));
      away.hidden = false;
    }
    render(!stay, missed || !!killed[0]);
    for (const change of all.filter(({ line }) => wants(line))) {
      const { kind, line } = change;
      const { id, status, text, note } = line;
      tell(kind, { line });
      const kill = kind === "cancel";
      if (dismissed || !(rows.has(id) || held.includes(id))) continue;
      let what = label.textContent;
      if (kill) what = words[/** @type {"canceled"} */ (status)];
      else if (kind === "correction" && line.corrected) what = words.corrected;
      else if (line.urgency === "flash") what = words.flash;
      const rest = /** @type {string} */ (kill ? (note ?? "") : text);
      say(change, line.channel + id, kill, spoken(`${what}: `), spoken(rest, line));
    }
    if (missed && changes.length && !dismissed) {
      say(all, channel, false, spoken(/** @type {string} */ (away.textContent)));
    }
  };

  // Words, numbers, times

  /**
   * Words to be said, in the language of a line, or else of the banner.
   * @param {string} content
   * @param {{language: string, direction: string}} [of]
   */
  const spoken = (content, of = { language: locale, direction: dir }) =>
    make("span", "", { lang: of.language, dir: of.direction }, content);

  /** @param {number} n */
  const number = (n) => n.toLocaleString(locale);

  /** @param {"fresh"|"corrected"|"canceled"} name @param {string[]} ids */
  const count = (name, { length }) => (length ? `${words[name]}: ${number(length)}` : "");

  /** How long ago a line was published. @param {Line} line */
  const since = ({ published }) => {
    const ago = (board.now - Date.parse(published)) / MINUTE;
    const [unit, minutes] = UNITS.find(([, each]) => ago >= each) ?? ["second", Infinity];
    return relative.format(-Math.floor(ago / minutes), unit);
  };

  /** @param {Row} row */
  const tellTime = ({ parts, line }) => write(parts.time, since(line));

  /** @param {Partial<Words>} [theirs] */
  const translate = (theirs) => {
    words = { ...ENGLISH, ...theirs };
    for (const each of controls.children) each.ariaLabel = words[/** @type {"next"} */ (each.className)];
    write(empty, words.empty);
    rows.forEach((row) => fill(row, row.line));
  };

  /** Language, direction and label. */
  const speak = () => {
    const lang = attribute("lang") || board.language;
    const from = attribute("dir") || (lang === board.language && board.direction) || (RIGHT_TO_LEFT.test(lang) ? "rtl" : "ltr");
    if (asked !== lang || dir !== from) {
      asked = lang;
      let known = "en";
      try {
        known = `${new Intl.Locale(lang)}`;
      } catch {} // no language: English
      frame.lang = locale = known;
      if (dir !== from) clear(); // what moves goes the other way
      frame.dir = dir = from;
      relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
      translate();
      const base = known.split("-")[0];
      const url = `${server}/words/${base}.json`;
      if (base !== "en") {
        (vocabularies[url] ??= request(url).then((response) => response.json())).then(
          (theirs) => {
            if (locale !== known) return;
            translate(theirs);
            render();
          },
          ({ status }) => {
            if (!status) asked = vocabularies[url] = undefined; // no answer: English, until they are asked for again
          },
        );
      }
    }
    const given = attribute("label");
    const heading = (locale.startsWith(board.language) && board.label) || words.label;
    write(label, given || heading);
    bar.ariaLabel = given || heading + (nth > 1 ? " " + nth : ""); // landmarks of a page have names of their own
  };

  /** How the connection is. */
  const renderState = () => {
    const state = feed.state(channel);
    let said = words[/** @type {"offline"} */ (state)] ?? "";
    if (state === "offline") {
      said += " " + new Date(feed.heard).toLocaleTimeString(locale, { timeStyle: "short" });
      feed.explain(channel);
    }
    write(status, said);
    if (attribute("state") !== state) host.setAttribute("state", state); // what morphs a page takes it away
    if (internals.states.has(state)) return;
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
   * @param {boolean} [gone] lines that are no more may not stay until they are out of sight, either
   */
  const render = (news, gone) => {
    if (!board) return;
    const { ready } = board;
    const focus = root.activeElement;
    speak();

    const known = (/** @type {string} */ id) => board.lines.some((/** @type {Line} */ line) => line.id === id);
    queue = queue.filter(known);
    held = held.filter(known);
    const lately = mode === "list" ? 0 : board.now - RETRACTION_ROTATES;
    let room = max;
    lines = board.lines.filter(
      (/** @type {Line} */ line) =>
        wants(line) &&
        !held.includes(line.id) &&
        (line.status === "usable" ? room-- > 0 : room > 0 && Date.parse(line.updated) > lately),
    );
    if (held[0] && !lines[0]) return release(); // what the reader held has left the board
    // Lines that a server wrote may have been withdrawn since. All else is the page's: hidden, and left where it is.
    const children = [...host.children].filter((child) => !child.slot);
    if (ready) for (const child of children) if (child.localName === "ol") child.remove();
    const below = children.some((child) => child.matches(FOLLOWS));
    wait.hidden = !below && (ready || !host.firstChild); // nothing inside, nothing to keep a place for
    const where = below ? root : stage;
    if (wait.parentNode !== where) where.append(wait);
    // Where it isn't closed, nothing follows behind it.
    const last = !host.nextSibling || host.nextSibling === announcer;
    if (!warned && (below || (last && children.some((child) => !child.matches("a,ol"))))) {
      warned = true;
      console.warn("Not closed? What follows is inside:", host);
    }
    empty.hidden = !ready;
    frame.hidden = dismissed;

    const ids = lines.map(({ id }) => id);
    for (const [id, { motion }] of rows) if (!ids.includes(id) && (gone || !motion)) drop(id);
    lines.forEach((line, index) => {
      const { id } = line;
      const row = rows.get(id) ?? rowOf(line);
      rows.set(id, row);
      if (row.line !== line || !row.parts.time) fill(row, line);
      if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index]);
    });
    if (news) current = queue.find((id) => rows.has(id)) ?? current;
    show(rows.has(current) ? current : ids[Math.min(turn, ids.length - 1)]);
    if (focus?.checkVisibility() === false) (pause.checkVisibility() ? pause : spot).focus();
    renderState(); // at last: whoever hears of it may remove the banner
  };

  /** @param {string} id */
  const drop = (id) => {
    const row = /** @type {Row} */ (rows.get(id));
    sizes.unobserve(row.item);
    belt = belt.filter((each) => each !== row);
    row.item.remove();
    rows.delete(id);
  };

  const clear = () => {
    belt = [];
    sizes.disconnect();
    stage.scrollTop = /** @type {any} */ (scrolled) = 0;
    rows.clear();
    list.replaceChildren();
  };

  /** @param {Line} line @returns {Row} */
  const rowOf = (line) => {
    const words = make("div", "words"); // no <p>: who spaces paragraphs out (WCAG 2.2, 1.4.12) would push it off its row
    return { item: make("li", "line", false, words), words, parts: {}, line, from: 0, size: 0 };
  };

  /**
   * Make a row what its line says. What is the same already isn't touched: it may have focus, or be selected.
   * @param {Row} row @param {Line} line
   */
  const fill = (row, line) => {
    const { status, text, url, source, note } = line;
    const usable = status === "usable";
    const link = usable && /^https?:/i.test(url ?? "");
    /** @type {[keyof HTMLElementTagNameMap, string, string|null|undefined][]} */
    const parts = [
      ["time", "time", since(line)],
      ["bdi", "flash", usable && line.urgency === "flash" ? words.flash : ""],
      ["bdi", "mark", usable ? line.corrected && words.corrected : words[status]],
      [link ? "a" : "span", "text", text],
      ["bdi", "source", source],
      ["bdi", "note", note],
    ];
    row.line = line;
    Object.assign(row.item, { lang: line.language, dir: line.direction }).dataset.urgency = line.urgency;
    // Nothing on the belt jumps while a reader holds it.
    if (row.motion && still()) row.item.style.maxInlineSize = `${row.size}px`;

    /** The part before; there is a space behind each. @type {any} */
    let before;
    for (const [tag, name, content] of parts) {
      let part = row.parts[name];
      if (part ? !content || part.localName !== tag : content) {
        part?.nextSibling?.remove();
        part?.remove();
        delete row.parts[name];
        // With something else behind it, browsers count a space as shifted: it is a new one.
        before?.nextSibling.replaceWith(" ");
        if (content) {
          part = row.parts[name] = make(tag, name);
          if (before) before.nextSibling.after(part, " ");
          else row.words.prepend(part, " ");
        }
      }
      if (!content) continue;
      write(part, content);
      before = part;
      if (/time|flash|mark/.test(name)) Object.assign(part, { lang: locale, dir }); // our words
      if (tag === "time") /** @type {HTMLTimeElement} */ (part).dateTime = line.published;
      if (tag === "a") {
        const onclick = (/** @type {MouseEvent} */ event) =>
          (event.detail && selected()) || !tell("open", { line: row.line }) ? event.preventDefault() : 0;
        Object.assign(part, { rel: "noopener", href: url, onclick });
      }
    }
  };

  // Holding still, and moving on. What a reader points at or has focused stays (WCAG 2.2, 2.2.2)

  const focused = () => root.activeElement?.matches(":focus-visible"); // a click leaves focus behind: not that
  const hovered = () => bar.matches(":hover") && matchMedia("(any-hover)").matches; // a finger doesn't
  /** Whether words of ours are selected. Chrome alone tells what is so in a shadow tree by the tree itself. */
  const selected = () => {
    const selection = /** @type {any} */ (root).getSelection?.() ?? getSelection();
    return selection?.type === "Range" && root.contains(selection.anchorNode);
  };
  const still = () => paused || hovered() || focused() || selected() || (mode === "list" && scrolled);

  /** @param {boolean} on */
  const hold = (on) => {
    paused = on;
    steer();
  };

  /** Close, until the next flash. */
  const dismiss = () => {
    dismissed = true;
    paused = false;
    render();
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
    holding = selected();
    if (held.length && !stay) return release();
    pause.ariaLabel = words[paused ? "resume" : "pause"];
    write(pause, paused ? "►" : "||");
    write(fresh, count("fresh", held));
    rows.forEach(({ motion, item }) => {
      motion?.[stay ? "pause" : "play"]();
      if (motion && !stay) item.style.maxInlineSize = "";
    });

    clearTimeout(dwell);
    const by = away.hidden ? 1 : 0;
    if (!board || (by && (stay || lessMotion.matches))) return;
    let after = Math.max(DWELL, DWELL_PER_CHARACTER * (lines[turn]?.text?.length || 0));
    if (by && mode === "scroll") {
      run();
      after = BELT;
    }
    dwell = setTimeout(() => {
      away.hidden = true;
      render(); // what was withdrawn long ago goes
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
      rows.forEach(({ item }, each) => item.classList.toggle("on", each === id));
      write(position, [turn + 1, lines.length].map(number).join(" / "));
    }
    steer();
  };

  /** @param {number} by */
  const step = (by) => {
    show((by > 0 && queue.find((id) => rows.has(id))) || lines.at((turn + by) % lines.length)?.id);
  };

  // The belt: each line moves by itself, so that none jumps when another comes, changes or goes

  /** How far a row has come. @param {Row} row */
  const passed = ({ motion }) => (Number(motion?.currentTime) * SPEED) / SECOND;

  /** @param {Row} row @returns {[Keyframe[]|PropertyIndexedKeyframes, {duration: number, fill: "forwards"}]} */
  const course = ({ from, size }) => [
    { translate: [from, -size].map((x) => `${dir === "rtl" ? -x : x}px`) },
    { duration: ((from + size) / SPEED) * SECOND, fill: "forwards" },
  ];

  /** Let lines onto the belt as long as there is room behind the last. */
  const run = () => {
    const width = stage.clientWidth;
    const last = belt.at(-1);
    let end = last ? Math.max(width, last.from + last.size - passed(last)) : width / 2;
    while (width && end < width + SPEED) {
      queue = queue.filter((id) => rows.has(id));
      if (!queue.length) queue = lines.map(({ id }) => id);
      const id = queue.find((id) => !rows.get(id)?.motion);
      if (!id) return;
      const row = /** @type {Row} */ (rows.get(id));
      const { item } = row;
      item.classList.add("on");
      row.from = end;
      row.size = item.offsetWidth + 1; // which is rounded
      queue = queue.filter((each) => each !== id);
      item.style.minInlineSize = `${row.size}px`; // shorter words draw nothing after them
      const motion = (row.motion = item.animate(...course(row)));
      motion.onfinish = () => {
        if (rows.get(id) === row) drop(id); // where the line is still on the board, it comes again with a new one
        render();
      };
      belt.push(row);
      sizes.observe(item);
      end += row.size;
    }
  };

  /** Longer words, another font, wider spacing: what is behind a line that has grown makes room for it. */
  const sizes = new ResizeObserver(() => {
    let end = -Infinity;
    for (const row of belt) {
      const { item, motion } = row;
      const size = Math.max(row.size, item.offsetWidth);
      const by = Math.max(0, end - (row.from - passed(row)));
      if (motion && (by || size > row.size)) {
        row.from += by;
        row.size = size;
        motion.effect = new KeyframeEffect(item, ...course(row));
      }
      end = row.from + row.size - passed(row);
    }
  });

  return { join, hold, leave, dismiss, render, refresh: () => feed?.refresh() };
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
 * a line's link; cancelable) with `detail.line`; `ticker:state` with `detail.state`; `ticker:dismiss` (a reader closes
 * it; cancelable) with `detail.channel`.
 *
 * What the page puts inside the tag is shown until the first board, and then hidden (a list of lines, `<ol>`, is
 * removed); `slot="label"` and `slot="empty"` stay.
 */
export class BreakingTicker extends Base {
  static observedAttributes = ["src", "lang", "min-urgency", "mode", "dir", "channel", "label", "max", "sticky", "state"];

  #inside = inside(this, this.attachInternals());

  connectedCallback() {
    listen(1);
    this.#inside.join();
  }

  disconnectedCallback() {
    this.#inside.leave();
    listen(-1);
  }

  /** Moved by `moveBefore`, all stays as it is. */
  connectedMoveCallback() {}

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "state") this.#inside.render(); // it says what is so, whoever sets it
    else if (this.#inside.leave()) this.#inside.join(); // else not in a page yet
  }

  /** Hold the banner still until `resume`; corrections, holds and kills still show. */
  pause() {
    this.#inside.hold(true);
  }

  resume() {
    this.#inside.hold(false);
  }

  /** Close it, as a reader does: the next flash brings it back. No event is told of. */
  dismiss() {
    this.#inside.dismiss();
  }

  /** Connect anew, and take whole boards. */
  refresh() {
    this.#inside.refresh();
  }
}

if (globalThis.customElements && !customElements.get("breaking-ticker")) {
  customElements.define("breaking-ticker", BreakingTicker);
}
