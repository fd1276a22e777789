/**
 * Types of ticker.js and of <breaking-ticker>.
 *
 * In plain TypeScript, Vue and Svelte they hold by themselves: save this file beside your sources, or
 * `/// <reference path="ticker.d.ts" />`. JSX has its own table of tags; for React add, once:
 *
 *     import type { BreakingTickerAttributes, BreakingTickerListeners } from "./ticker";
 *     declare module "react" {
 *       namespace JSX {
 *         interface IntrinsicElements {
 *           "breaking-ticker": React.DetailedHTMLProps<React.HTMLAttributes<HTMLElement>, HTMLElement> &
 *             BreakingTickerAttributes & BreakingTickerListeners;
 *         }
 *       }
 *     }
 */

export type Mode = "rotate" | "list" | "scroll";
export type Urgency = "flash" | "bulletin" | "urgent" | "update";
export type Status = "usable" | "withheld" | "canceled";
export type State = "connecting" | "live" | "delayed" | "offline";
export type Direction = "ltr" | "rtl";

/** One breaking item. Times are RFC 3339, in UTC. */
export interface Line {
  /** The cursor of its first event; unique in its channel. */
  id: string;
  channel: string;
  /** Absent if the line is withheld or canceled, as are `url` and `source`. */
  text?: string;
  urgency: Urgency;
  status: Status;
  /** 1, 2, …: each change makes a new one. */
  version: number;
  published: string;
  updated: string;
  /** When its text last changed; null if it never has. */
  corrected?: string | null;
  /** null is never. */
  expires: string | null;
  pinned: boolean;
  url?: string | null;
  source?: string | null;
  /** Ties lines together, across channels too. */
  story: string | null;
  /** Public reason of a correction, hold or cancellation. */
  note: string | null;
  /** BCP 47. */
  language: string;
  direction: Direction;
}

/** What a server sends, over WebSocket and Server-Sent Events alike: see docs/protocol.md. */
export type Frame = BoardFrame | LineFrame | BeatFrame;

/** All that a channel shows: on connecting, and whenever changes can't be trusted. */
export interface BoardFrame {
  type: "board";
  channel: string;
  cursor: string | null;
  now: string;
  lines: Line[];
  title: string;
  label: string;
  language: string;
  direction: Direction;
  max_lines: number;
}

/** One change to one line. It follows on `prev`, or there is a gap. */
export interface LineFrame {
  type: "line";
  channel: string;
  cursor: string;
  prev: string | null;
  line: Line;
}

/** Nothing new, and the connection is well. */
export interface BeatFrame {
  type: "beat";
  channel: string;
  cursor: string | null;
  now: string;
}

/** The attributes of the tag. All of them may be changed at any time. */
export interface BreakingTickerAttributes {
  channel: string;
  /** Base URL of another server; by default the script's own. */
  src?: string;
  /** Default `rotate`. Readers who asked for less motion get that in place of `scroll`. */
  mode?: Mode;
  /** It stays on the screen, at this edge. */
  sticky?: "top" | "bottom";
  /** At most so many lines. */
  max?: number | string;
  /** Lines below it aren't shown. */
  "min-urgency"?: Urgency;
  /** The word beside the lines, in place of the channel's. */
  label?: string;
  lang?: string;
  dir?: Direction;
  /** By default the page's color-scheme. */
  theme?: "light" | "dark";
  /** Without previous and next. Pause stays. */
  controls?: "none";
  /** Readers may close it, until the next flash or until they load the page again. */
  dismissible?: boolean | "";
  /** It takes no room while there is no line. */
  "hide-when-empty"?: boolean | "";
}

export interface BreakingTickerEventMap {
  /** A new line. */
  "ticker:line": CustomEvent<{ line: Line }>;
  /** A line's words have changed, or are back. */
  "ticker:correction": CustomEvent<{ line: Line }>;
  /** A line was withheld or canceled; it has no `text`. */
  "ticker:cancel": CustomEvent<{ line: Line }>;
  /** How it is connected has changed. */
  "ticker:state": CustomEvent<{ state: State }>;
  /** A reader opens a line's link. `preventDefault()` keeps the browser from following it. */
  "ticker:open": CustomEvent<{ line: Line }>;
  /** A reader closes the banner. `preventDefault()` keeps it open. */
  "ticker:dismiss": CustomEvent<{ channel: string }>;
}

/** Listeners as React takes them. To be spread: most compilers of JSX refuse a colon in the name of an attribute. */
export type BreakingTickerListeners = {
  [Type in keyof BreakingTickerEventMap as `on${Type}`]?: (event: BreakingTickerEventMap[Type]) => void;
};

/** `<breaking-ticker channel="en">`. Its events bubble, and cross shadow roots. */
export class BreakingTicker extends HTMLElement {
  /** Hold the banner still until `resume`; corrections, holds and cancellations still show. */
  pause(): void;
  resume(): void;
  /** Close it, as a reader does: the next flash brings it back. No event is sent. */
  dismiss(): void;
  /** Reconnect now, and take the whole board. */
  refresh(): void;

  addEventListener<K extends keyof BreakingTickerEventMap>(
    type: K,
    listener: (this: BreakingTicker, event: BreakingTickerEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: BreakingTicker, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof BreakingTickerEventMap>(
    type: K,
    listener: (this: BreakingTicker, event: BreakingTickerEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: BreakingTicker, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "breaking-ticker": BreakingTicker;
  }
  /** They bubble: any element hears them, the document and the window. */
  interface GlobalEventHandlersEventMap extends BreakingTickerEventMap {}
}
