/** What the pages about people share: how they ask the server, and how they put things on the page. */

import { HOW, WORDS } from "./account-words.js";
import { NoPasskey, touch } from "./passkey.js";

const PATIENCE = 15_000; // ms
const STEP_UP = "urn:ticker:problem:step-up";
const EVERY = 3_000; // ms between two looks whether this session has ended

/** The server said no. `fields` maps a field's name to what is wrong with it. */
export class Refused extends Error {
  /** @param {string} detail @param {number} status @param {{field: string, detail: string}[]} [errors] */
  constructor(detail, status, errors = []) {
    super(detail);
    this.detail = detail;
    this.status = status;
    this.fields = new Map(errors.map((each) => [each.field, each.detail]));
  }
}

/** @type {string|undefined} */
let session;

/**
 * Ask the server; a passkey is touched first where it asks for that.
 * @param {string} method @param {string} url @param {object} [body] @param {boolean} [again] it has been touched
 * @returns {Promise<any>}
 */
export async function call(method, url, body, again = false) {
  const headers = {
    Accept: "application/json, application/problem+json",
    ...(body && { "Content-Type": "application/json" }),
    ...(session && method !== "GET" && { "Ticker-Session": session }),
  };
  let answer;
  let said;
  try {
    answer = await fetch(url, {
      method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE), cache: "no-store", redirect: "error",
    });
    said = answer.status === 204 ? null : await answer.json();
  } catch {
    throw new Refused(WORDS.away, 0);
  }
  if (answer.ok) return said;
  if (said.type === STEP_UP && said.person && !again) {
    await touch(session);
    return call(method, url, body, true);
  }
  if (answer.status === 401) location.assign("/desk");
  throw new Refused(said.detail ?? WORDS.away, answer.status, said.errors);
}

/** Who is signed in; the page goes to the door if nobody is, and when the session ends. */
export async function who() {
  const found = await call("GET", "/desk/session");
  session = found.id ?? undefined;
  part("#name").textContent = found.name;
  part("#to-people").hidden = found.role !== "admin";
  setInterval(async () => {
    if (document.hidden) return;
    const look = await fetch("/desk/session", { headers: { "Ticker-Unattended": "1" }, cache: "no-store" }).catch(() => null);
    if (look?.status === 401) location.assign("/desk");
  }, EVERY);
  return found;
}

/** What the page knows its own sign-in by. */
export const mine = () => session;

/** Do it, and say what went wrong. @param {() => Promise<void>} deed */
export async function attempt(deed) {
  part("#trouble").hidden = true;
  try {
    await deed();
  } catch (problem) {
    if (!(problem instanceof Refused || problem instanceof NoPasskey)) throw problem;
    part("#trouble").textContent = problem.detail;
    part("#trouble").hidden = false;
  }
}

/** @param {{title: string, facts: (string|null)[], actions: [string, () => Promise<void>][], ended?: boolean}} entry @returns {HTMLLIElement} */
export function row({ title, facts, actions, ended = false }) {
  const item = document.createElement("li");
  item.className = "one";
  if (ended) item.dataset.ended = "";
  const whose = document.createElement("div");
  whose.className = "who";
  const name = document.createElement("b");
  name.dir = "auto";
  name.translate = false;
  name.textContent = title;
  const said = document.createElement("p");
  said.className = "facts";
  for (const fact of facts) {
    if (fact) said.append(Object.assign(document.createElement("span"), { textContent: fact }));
  }
  whose.append(name, said);
  const buttons = document.createElement("p");
  buttons.className = "actions";
  for (const [word, deed] of actions) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: word });
    button.setAttribute("aria-label", `${word.replace("…", "")}: ${title}`);
    button.addEventListener("click", () => attempt(deed));
    buttons.append(button);
  }
  item.append(whose, buttons);
  return item;
}

/** @param {string} how */
export const howWord = (how) => HOW[how] ?? how;

/** @param {string} selector @returns {any} */
export function part(selector) {
  return document.querySelector(selector);
}
