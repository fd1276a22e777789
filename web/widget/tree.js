/** The elements of a banner, and their style. */

import { make } from "./dom.js";
import style from "./style.css";

/** All banners share it. @type {CSSStyleSheet|undefined} */
let sheet;

export const sharedSheet = () => {
  if (!sheet) {
    sheet = new CSSStyleSheet(); // a <style> would need style-src 'unsafe-inline'
    sheet.replaceSync(style);
  }
  return sheet;
};

/** @typedef {ReturnType<typeof buildTree>} Tree */

export const buildTree = () => {
  const label = make("slot", "label", { name: "label" });
  const state = make("span", "state");
  const fresh = make("button", "fresh");
  const lines = make("ol", "lines", { role: "list" }); // list-style: none costs the role in Safari
  const empty = make("slot", "empty", { name: "empty" });
  /** What the page put inside: in the lines' place until there are some; below, if it isn't meant for that. */
  const wait = make("div", "wait", false, make("slot", ""));
  const away = make("div", "away", { hidden: true });
  const stage = make("div", "stage", false, wait, empty, lines, away);
  const position = make("span", "position");
  const pause = make("button", "pause");
  const controls = make(
    "div",
    "controls",
    false,
    make("button", "previous", false, "‹"),
    position,
    make("button", "next", false, "›"),
    pause,
    make("button", "close", false, "×"),
  );
  const head = make("div", "head", false, label, state, fresh);
  const bar = make("section", "bar", false, head, controls, stage);
  const frame = make("div", "frame", false, bar);
  /** Where focus goes when what has had it is gone with all that is around it: Tab goes on from there. */
  const focusFallback = make("span", "", { tabIndex: -1 });
  return {
    label,
    state,
    fresh,
    lines,
    empty,
    wait,
    away,
    stage,
    position,
    pause,
    controls,
    bar,
    frame,
    focusFallback,
  };
};
