/**
 * What is in a banner: the lines of a board, in the order and at the pace that its mode and its reader want. Knows the
 * feed's boards; knows no socket.
 */

import { announceChange, announceSummary, attachAnnouncer, banners } from "./announce.js";
import { isFocused, isHovered, isSelected, lessMotion } from "./attention.js";
import { idsOf, isFlash, isUrgentEnough, visibleLines } from "./changes.js";
import { dispatch, write } from "./dom.js";
import { Feed } from "./feed.js";
import { areExtrasMissing, directionOf, withExtras } from "./load-extras.js";
import { Locale } from "./locale.js";
import { renderPlaceholder } from "./placeholder.js";
import { serverAt } from "./request.js";
import { Rows } from "./rows.js";
import { buildTree, sharedSheet } from "./tree.js";
import { SECOND } from "./units.js";

/**
 * @typedef {import("./board.js").Board & import("./board.js").BoardFrame} Board
 * @typedef {import("./board.js").Change} Change
 * @typedef {import("./board.js").Line} Line @typedef {import("./row.js").Row} Row
 */

const DWELL = 6 * SECOND; // a line's turn in rotate mode,
const DWELL_PER_CHARACTER = 60; // or as long as it takes to read it aloud
const BELT = 0.5 * SECOND; // between two looks whether there is room on it
const REFRESH_TIMES = 15 * SECOND;

export class Banner {
  #host;
  #internals;
  #root;
  #tree = buildTree();
  #stickySheet = new CSSStyleSheet();
  #locale = new Locale();
  /** Of the channel; undefined while there is none. @type {Board} */
  #board = /** @type {any} */ (undefined);
  /** Its connection. @type {Feed|undefined} */
  #feed;
  /** While the banner is in a page: ends what it listens to there. @type {AbortController|undefined} */
  #joined;
  #server = "";
  #channel = "";
  /** "rotate", "list" or "scroll". */
  #mode = "";
  #max = 0;
  /** Of the page's banners, when it came. */
  #nth = 0;

  #rows = new Rows(this.#tree.lines);
  /** What the reader may see now, in order. @type {Line[]} */
  #lines = [];
  /** Ids of lines that came while the reader held the banner still. @type {string[]} */
  #held = [];
  /** What came while the page was hidden, the last of each line. @type {Map<string, Change>} */
  #unseen = new Map();
  /** Ids of the lines to show next, withdrawn lines first. @type {string[]} */
  #queue = [];
  /** Whose turn it is, and its place. */
  #current = "";
  #turn = 0;
  #isPaused = false;
  #isDismissed = false;
  /** Whether a list was scrolled; kept, for to ask costs a layout. */
  #isScrolled = false;
  /** Whether words were selected when it was last seen to. */
  #wasSelected = false;
  #dwellTimer = 0;
  #clockTimer = 0;

  /** @param {HTMLElement} host @param {ElementInternals} internals */
  constructor(host, internals) {
    this.#host = host;
    this.#internals = internals;
    this.#root = host.attachShadow({ mode: "open" });
    const { bar, stage, wait, focusFallback, frame } = this.#tree;
    this.#root.adoptedStyleSheets = [sharedSheet(), this.#stickySheet];
    this.#root.append(focusFallback, frame);
    wait.onslotchange = () => this.render();
    stage.onscroll = () => {
      this.#isScrolled = stage.scrollTop > 2;
      this.#steer();
    };
    bar.onclick = ({ target }) => this.#press(/** @type {HTMLElement} */ (target));
    // Between two buttons focus is nowhere, for a moment: it stays within.
    // Not pointerenter: in Firefox that comes before :hover.
    for (const type of /** @type {("focusin")[]} */ (["mouseenter", "mouseleave", "focusin", "focusout"]))
      bar.addEventListener(
        type,
        ({ relatedTarget }) => bar.contains(/** @type {Node} */ (relatedTarget)) || this.#steer(),
      );
  }

  /** @param {boolean} isPaused */
  hold(isPaused) {
    this.#isPaused = isPaused;
    this.#steer();
  }

  /** Close it, until the next flash. */
  dismiss() {
    this.#isDismissed = true;
    this.#isPaused = false;
    this.render();
  }

  refresh() {
    this.#feed?.refresh();
  }

  // The channel

  /** @param {string} name */
  #attribute(name) {
    return this.#host.getAttribute(name) ?? "";
  }

  join() {
    const { signal } = (this.#joined = new AbortController());
    this.#nth ||= banners;
    this.#channel = this.#attribute("channel");
    this.#max = +this.#attribute("max") || Infinity;
    this.#renderMode(signal);
    const onSelection = () => isSelected(this.#root) === this.#wasSelected || this.#steer();
    document.addEventListener("selectionchange", onSelection, { signal });
    lessMotion.addEventListener("change", () => this.rejoin(), { signal });
    this.#server = serverAt(this.#attribute("src"));
    const feed = (this.#feed = Feed.at(this.#server));
    // A framework may give it its channel a moment later.
    if (!this.#channel) setTimeout(() => signal.aborted || feed.explain(this.#channel), SECOND);
    else {
      this.#board = /** @type {Board} */ (feed.join(this.#channel, this.#listener));
      this.#clockTimer = setInterval(() => {
        attachAnnouncer();
        this.#rows.forEach((row) => row.tellTime(this.#locale, this.#board.now));
      }, REFRESH_TIMES);
      this.render();
    }
  }

  leave() {
    this.#joined?.abort();
    this.#feed?.leave(this.#listener);
    clearInterval(this.#clockTimer);
    clearTimeout(this.#dwellTimer);
    this.#joined = undefined;
    this.#board = /** @type {any} */ (undefined);
    this.#unseen.clear();
    this.#held = this.#queue = [];
    this.#clear();
  }

  /** Begin again, with other attributes. */
  rejoin() {
    if (!this.#joined) return; // not in a page
    this.leave();
    this.join();
  }

  /** @type {import("./feed.js").Listener} `missed` while nobody looked, or none could hear */
  #listener = (all, missed) => {
    if (!all || !this.#board) return this.render();
    const { away, label } = this.#tree;
    const locale = this.#locale;
    missed ||= !!this.#unseen.size; // with nothing new, too: when the page is seen again
    for (const each of all) this.#unseen.set(each.line.id, each);
    const changes = [...this.#unseen.values()].filter(({ line }) => !document.hidden && this.#wants(line));
    if (!document.hidden) this.#unseen.clear();
    const arrived = idsOf(changes, "line");
    const corrected = idsOf(changes, "correction");
    const canceled = idsOf(changes, "cancel");
    const hasFlash = changes.some(isFlash);
    const stay = this.#isPaused || isFocused(this.#root) || (this.#isStill() && !hasFlash);
    if (hasFlash) this.#isDismissed = false;
    if (stay) this.#held.push(...arrived);
    else if (hasFlash) this.#clear(); // the belt starts again, with the flash
    this.#queue = [canceled, missed ? corrected : [], arrived.reverse(), this.#queue].flat();
    const isSummed = missed && changes.length;
    if (isSummed) {
      write(away, locale.summary(canceled, corrected, arrived));
      away.hidden = false;
    }
    this.render(!stay, missed || !!canceled[0]);
    for (const change of all.filter(({ line }) => this.#wants(line))) {
      const { id } = change.line;
      dispatch(this.#host, change.kind, { line: change.line });
      if (!this.#isDismissed && (this.#rows.has(id) || this.#held.includes(id)))
        announceChange(change, locale, label.textContent);
    }
    if (isSummed && !this.#isDismissed) announceSummary(all, locale, this.#channel, away.textContent);
  };

  // Rendering

  /** @param {AbortSignal} signal of the time until it is another */
  #renderMode(signal) {
    const { bar, frame, stage } = this.#tree;
    const asked = this.#attribute("mode");
    const isScroll = asked === "scroll" && !lessMotion.matches && !areExtrasMissing;
    this.#mode = asked === "list" || isScroll ? asked : "rotate";
    frame.className = `frame ${this.#mode}`;
    stage.tabIndex = this.#mode === "list" ? 0 : -1; // to scroll by keyboard
    bar.style.cssText = `--max:${Math.min(this.#max, 99)}`;
    if (this.#host.hasAttribute("sticky"))
      withExtras(({ StickyPlace }) => signal.aborted || new StickyPlace(this.#host, this.#stickySheet, signal));
    if (isScroll)
      withExtras(
        ({ Belt }) => {
          this.#rows.belt ??= new Belt(stage, this.#locale);
          this.#steer();
        },
        () => this.rejoin(), // in another mode
      );
  }

  #translate() {
    const { words } = this.#locale;
    for (const each of this.#tree.controls.children) each.ariaLabel = words[/** @type {"next"} */ (each.className)];
    write(this.#tree.empty, words.empty);
    this.#rows.forEach((row) => this.#fill(row, /** @type {Line} */ (row.line)));
  }

  /** Language, direction and label. */
  #renderLocale() {
    const { bar, frame, label } = this.#tree;
    const board = this.#board;
    const locale = this.#locale;
    const before = locale.direction;
    const lang = this.#attribute("lang") || board.language;
    const direction = this.#attribute("dir") || (lang === board.language ? board.direction : directionOf(lang, () => this.render()));
    if (locale.change(lang, direction)) {
      if (direction !== before) this.#clear(); // what moves goes the other way
      Object.assign(frame, { lang: locale.language, dir: direction });
      this.#translate();
      locale.load(this.#server).then((isNew) => {
        if (!isNew) return;
        this.#translate();
        this.render();
      });
    }
    const given = this.#attribute("label");
    const heading = (locale.language.startsWith(board.language) && board.label) || locale.words.label;
    write(label, given || heading);
    bar.ariaLabel = given || heading + (this.#nth > 1 ? " " + this.#nth : ""); // landmarks of a page have names of their own
  }

  /** How the connection is. */
  #renderState() {
    const feed = /** @type {Feed} */ (this.#feed);
    const { states } = this.#internals;
    const state = feed.state(this.#channel);
    let said = this.#locale.words[/** @type {"offline"} */ (state)] ?? "";
    if (state === "offline") {
      said += " " + this.#locale.clock(feed.heard);
      feed.explain(this.#channel);
    }
    write(this.#tree.state, said);
    if (this.#attribute("state") !== state) this.#host.setAttribute("state", state); // what morphs a page takes it away
    if (states.has(state)) return;
    states.clear();
    states.add(state);
    dispatch(this.#host, "state", { state });
  }

  /** Whether it is urgent enough for this banner. @param {Line} line */
  #wants(line) {
    return isUrgentEnough(line, this.#attribute("min-urgency"));
  }

  /**
   * Make the DOM what board and attributes say.
   * @param {boolean} [hasNews] what is in the queue has its turn
   * @param {boolean} [dropAtOnce] lines that are no more may not stay until they are out of sight, either
   */
  render(hasNews, dropAtOnce) {
    const board = this.#board;
    if (!board) return;
    const { empty, frame, pause, focusFallback } = this.#tree;
    const focus = this.#root.activeElement;
    this.#renderLocale();

    const isKnown = (/** @type {string} */ id) => board.lines.some((line) => line.id === id);
    this.#queue = this.#queue.filter(isKnown);
    this.#held = this.#held.filter(isKnown);
    const wanted = board.lines.filter((line) => this.#wants(line) && !this.#held.includes(line.id));
    this.#lines = visibleLines(wanted, this.#max, this.#mode === "list" ? 0 : board.now);
    if (this.#held[0] && !this.#lines[0]) return this.#release(); // what the reader held has left the board
    renderPlaceholder(this.#host, this.#tree, board.ready);
    empty.hidden = !board.ready;
    frame.hidden = this.#isDismissed;

    const ids = this.#lines.map(({ id }) => id);
    for (const [id, { motion }] of this.#rows) if (!ids.includes(id) && (dropAtOnce || !motion)) this.#rows.drop(id);
    this.#rows.arrange(this.#lines, (row, line) => this.#fill(row, line));
    if (hasNews) this.#current = this.#queue.find((id) => this.#rows.has(id)) ?? this.#current;
    this.#show(this.#rows.has(this.#current) ? this.#current : ids[Math.min(this.#turn, ids.length - 1)]);
    if (focus?.checkVisibility() === false) (pause.checkVisibility() ? pause : focusFallback).focus();
    this.#renderState(); // last, because a listener may remove the banner
  }

  /** @param {Row} row @param {Line} line */
  #fill(row, line) {
    // Nothing on the belt jumps while a reader holds it.
    if (row.motion && this.#isStill()) row.item.style.maxInlineSize = `${row.size}px`;
    row.fill(line, this.#locale, this.#board.now, (event) => {
      if ((event.detail && isSelected(this.#root)) || !dispatch(this.#host, "open", { line: row.line })) event.preventDefault();
    });
  }

  #clear() {
    this.#rows.dropAll();
    this.#tree.stage.scrollTop = 0;
    this.#isScrolled = false;
  }

  /** It has come all the way: if its line is still on the board, that comes again with another. @param {Row} row */
  #finish(row) {
    const { id } = /** @type {Line} */ (row.line);
    if (this.#rows.get(id) === row) this.#rows.drop(id);
    this.render();
  }

  // Holding still, and moving on

  /** @param {HTMLElement} target a button of ours, maybe; what the page put inside is none */
  #press(target) {
    const name = this.#root.contains(target) && target.className;
    if (name === "fresh") this.#release();
    if (name === "previous" || name === "next") this.#step(name === "next" ? 1 : -1);
    if (name === "pause") this.hold(!this.#isPaused);
    if (name === "close" && dispatch(this.#host, "dismiss", { channel: this.#channel })) this.dismiss();
  }

  #isStill() {
    return (
      this.#isPaused ||
      isHovered(this.#tree.bar) ||
      isFocused(this.#root) ||
      isSelected(this.#root) ||
      (this.#mode === "list" && this.#isScrolled)
    );
  }

  /** Show what was held back. */
  #release() {
    this.#held = [];
    this.#tree.stage.scrollTop = 0;
    this.render(true);
  }

  /** Move on or stay, as the reader, the lines and the mode require now. */
  #steer() {
    const { away, fresh, pause } = this.#tree;
    const locale = this.#locale;
    const stay = this.#isStill();
    this.#wasSelected = isSelected(this.#root);
    if (this.#held.length && !stay) return this.#release();
    pause.ariaLabel = locale.words[this.#isPaused ? "resume" : "pause"];
    write(pause, this.#isPaused ? "►" : "||");
    write(fresh, locale.count("fresh", this.#held));
    this.#rows.forEach(({ motion, item }) => {
      motion?.[stay ? "pause" : "play"]();
      if (motion && !stay) item.style.maxInlineSize = "";
    });

    clearTimeout(this.#dwellTimer);
    const by = away.hidden ? 1 : 0;
    if (!this.#board || (by && (stay || lessMotion.matches))) return;
    let after = Math.max(DWELL, DWELL_PER_CHARACTER * (this.#lines[this.#turn]?.text?.length || 0));
    if (by && this.#mode === "scroll") {
      const ids = this.#lines.map(({ id }) => id);
      this.#queue = this.#rows.belt?.fill(this.#rows, ids, this.#queue, (row) => this.#finish(row)) ?? this.#queue;
      after = BELT;
    }
    this.#dwellTimer = setTimeout(() => {
      away.hidden = true;
      this.render(); // what was withdrawn long ago goes
      this.#step(by);
    }, after);
  }

  /** One line at a time. @param {string} [id] */
  #show(id = "") {
    if (this.#mode === "rotate") {
      this.#current = id;
      this.#queue = this.#queue.filter((each) => each !== id);
      this.#turn = Math.max(0, this.#lines.findIndex((line) => line.id === id));
      this.#rows.forEach(({ item }, each) => item.classList.toggle("on", each === id));
      write(this.#tree.position, this.#locale.position(this.#turn + 1, this.#lines.length));
    }
    this.#steer();
  }

  /** @param {number} by */
  #step(by) {
    const next = by > 0 && this.#queue.find((id) => this.#rows.has(id));
    this.#show(next || this.#lines.at((this.#turn + by) % this.#lines.length)?.id);
  }
}
