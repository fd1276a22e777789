/**
 * The desk's way to the publishing API. Knows HTTP and problem+json (RFC 9457); knows no page.
 *
 * A call ends in one of three ways, and no caller may take one for another:
 *   it gives its answer · it throws Refused (nothing happened) · it throws Unheard (nobody knows)
 */

import { NoPasskey, touch } from "./passkey.js";

const PATIENCE = 15_000; // ms for an answer; after that, the editor must learn that there is none
const OTHER_SESSION = "urn:ticker:problem:other-session";
const STEP_UP = "urn:ticker:problem:step-up";
/** Says that the page asks by itself, which is no use of the session. */
const UNATTENDED = { "Ticker-Unattended": "1" };

/**
 * @typedef {{slug: string, title: string, language: string, direction: "ltr"|"rtl", label: string,
 *            max_lines: number, expires_in: number|null, hold: Record<string, number>, approve: string[]}} Channel
 * @typedef {{id?: string, key: string, name: string, role: "contributor"|"editor"|"chief"|"admin", timezone: string,
 *            channels: Channel[]}} Session
 * @typedef {{id: string|null, name: string}} Actor
 * @typedef {import("../ticker.js").Line & {by?: Actor}} Line with the key that last changed it
 * @typedef {{id: string, channel: string, kind: "publish"|"correct"|"cancel"|"release",
 *            state: "open"|"submitted"|"scheduled"|"released"|"missed"|"conflict"|"discarded",
 *            line: string|null, version: number|null, publish_at: string|null,
 *            due: {newsroom: string, timezone: string, in: number}|null, needs_approval: boolean, by: Actor,
 *            approved_by: Actor|null, note_to_desk: string|null, updated: string, text?: string, urgency?: string,
 *            refile?: boolean, history: {at: string, did: string, by: Actor|null, note?: string}[], etag?: string}} Draft
 * @typedef {{channel: string, reason: string, by: Actor, at: string}} Lock
 * @typedef {{line: Line, draft?: undefined, etag: string|null}|{line?: undefined, draft: Draft, etag: string|null}} Kept
 *   a line that was kept, or a draft if it has to wait
 */

/** The server said no: nothing was done. `fields` maps a field's name to what is wrong with it. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, errors?: {field: string, detail: string}[],
   *          warnings?: {code: string, detail: string, blocking: boolean}[]}} problem
   */
  constructor(status, problem) {
    const fields = new Map((problem.errors ?? []).map(({ field, detail }) => [field, detail]));
    super(fields.size ? problem.title ?? "Refused." : [problem.title, problem.detail].filter(Boolean).join(": "));
    this.status = status;
    this.detail = problem.detail ?? problem.title ?? "Refused.";
    this.fields = fields;
    this.warnings = problem.warnings ?? [];
  }
}

/** Somebody else is signed in in this browser by now: nothing was done. `signedIn` is their name. */
export class OtherSession extends Refused {
  /** @param {number} status @param {{title?: string, detail?: string, signed_in?: {name?: string}}} problem */
  constructor(status, problem) {
    const name = problem.signed_in?.name ?? "";
    super(status, { title: `${name || "Somebody else"} is signed in now in this browser. Nothing was changed.` });
    this.signedIn = name;
  }
}

/** No answer came, or none that can be trusted: whether it was done is not known. */
export class Unheard extends Error {}

/** A name for a request that nobody else gives. `crypto.randomUUID` is for pages with https alone. */
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Says `signedout` when the server no longer takes us for signed in, and `othersession` (detail: the OtherSession)
 * when it takes us for another person than the page was signed in as.
 */
export class Api extends EventTarget {
  /** @type {string|undefined} names the sign-in that this page believes in; each change carries it */ #session;

  /** Who is signed in, from now on for this page too; null for nobody. @returns {Promise<Session|null>} */
  async session() {
    try {
      const session = await this.#read(await this.#ask("GET", "/desk/session", { quiet: true }));
      if (!Array.isArray(session?.channels)) throw new Unheard("The answer is not the desk's.");
      this.#session = session.id ?? undefined;
      return session;
    } catch (problem) {
      if (problem instanceof Refused && problem.status === 401) return null;
      throw problem;
    }
  }

  /** @param {{key: string}|{once: string}} credential */
  async signIn(credential) {
    this.#session = undefined;
    await this.#ask("POST", "/desk/session", { body: JSON.stringify(credential), quiet: true });
  }

  async signOut() {
    await this.#ask("DELETE", "/desk/session", { quiet: true });
  }

  /**
   * The same `body` with the same `key` is published once, however often it is sent.
   * @param {string} channel @param {string} body JSON @param {string} key @returns {Promise<Kept>}
   */
  publish(channel, body, key) {
    return this.#keep("POST", lines(channel), { body, headers: { "Idempotency-Key": key } });
  }

  // Drafts

  /** Those that have not ended; null if nothing has changed since `etag`. @param {string} channel @param {string} etag */
  async drafts(channel, etag) {
    const answer = await this.#ask("GET", `${drafts(channel)}?limit=200`, { headers: { ...UNATTENDED, ...(etag && { "If-None-Match": etag }) } });
    if (answer.status === 304) return null;
    const { drafts: found } = await this.#read(answer);
    if (!Array.isArray(found)) throw new Unheard("The answer is not the desk's.");
    return { drafts: /** @type {Draft[]} */ (found), etag: answer.headers.get("ETag") ?? "" };
  }

  /** @param {string} channel @param {string} id @returns {Promise<{draft: Draft}>} */
  async draft(channel, id) {
    return { draft: (await this.#keep("GET", drafts(channel, id), { body: undefined })).draft };
  }

  /** Save a draft; the same `body` with the same `key` makes one. @param {string} channel @param {string} body @param {string} key */
  save(channel, body, key) {
    return this.#keep("POST", drafts(channel), { body, headers: { "Idempotency-Key": key } });
  }

  /** @param {Draft} draft @param {object} change JSON merge patch */
  edit(draft, change) {
    return this.#keep("PATCH", drafts(draft.channel, draft.id), { body: JSON.stringify(change), headers: seen(draft) });
  }

  /** @param {Draft} draft @param {string} deed submit, approve, return or publish @param {object} body */
  decide(draft, deed, body) {
    return this.#keep("POST", `${drafts(draft.channel, draft.id)}/${deed}`, { body: JSON.stringify(body), headers: seen(draft) });
  }

  /** It won't go out. @param {Draft} draft */
  recall(draft) {
    return this.#keep("DELETE", drafts(draft.channel, draft.id), { body: undefined });
  }

  // The lock

  /** Null if nothing has changed since `etag`. @param {string} etag @returns {Promise<{locks: Lock[], etag: string}|null>} */
  async locks(etag) {
    const answer = await this.#ask("GET", "/v1/lock", { headers: { ...UNATTENDED, ...(etag && { "If-None-Match": etag }) } });
    return answer.status === 304 ? null : this.#locks(answer);
  }

  /** @param {string} reason @param {string[]|null} channels null: all of them */
  async lock(reason, channels) {
    return this.#locks(await this.#ask("PUT", "/v1/lock", { body: JSON.stringify({ reason, ...(channels && { channels }) }) }));
  }

  /** @param {string[]} channels */
  async unlock(channels) {
    return this.#locks(await this.#ask("DELETE", "/v1/lock", { body: JSON.stringify({ channels }) }));
  }

  async #locks(answer) {
    const { locks } = await this.#read(answer);
    if (!Array.isArray(locks)) throw new Unheard("The answer is not the desk's.");
    return { locks: /** @type {Lock[]} */ (locks), etag: answer.headers.get("ETag") ?? "" };
  }

  // Lines

  /** @param {Line} line @param {object} change JSON merge patch @param {string} [etag] @returns {Promise<Kept>} */
  correct(line, change, etag) {
    const headers = etag ? { "If-Match": etag } : {};
    return this.#keep("PATCH", lines(line.channel, line.id), { body: JSON.stringify(change), headers });
  }

  /** @param {Line} line @param {string} note @param {{confirm?: string[]}} confirmed @returns {Promise<Kept>} */
  cancel(line, note, confirmed) {
    const body = JSON.stringify({ ...(note && { note }), ...confirmed });
    return this.#keep("DELETE", lines(line.channel, line.id), { body });
  }

  /** What was said, by whom, oldest first, held words included. @param {Line} line @returns {Promise<{versions: Line[], etag: string}>} */
  async audit(line) {
    const answer = await this.#ask("GET", `${lines(line.channel, line.id)}/audit`);
    const { versions } = await this.#read(answer);
    if (!versions?.at(-1)?.id) throw new Unheard("The answer is not the desk's.");
    return { versions, etag: answer.headers.get("ETag") ?? "" };
  }

  async #keep(method, url, { body, headers = {} }) {
    const answer = await this.#ask(method, url, { body, headers });
    const kept = await this.#read(answer);
    const etag = answer.headers.get("ETag");
    if (kept?.state && kept.id) return { draft: kept, etag };
    if (!kept?.id) throw new Unheard("The answer is not the desk's.");
    return { line: kept, etag };
  }

  async #read(answer) {
    try {
      return await answer.json();
    } catch (broken) {
      throw new Unheard("The answer broke off.", { cause: broken });
    }
  }

  /** @returns {Promise<Response>} an answer in the 200s, or 304 */
  async #ask(method, url, { body = undefined, headers = {}, quiet = false, touched = false } = {}) {
    const sent = { Accept: "application/json, application/problem+json", ...headers };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    if (method !== "GET" && this.#session !== undefined) sent["Ticker-Session"] = this.#session;
    const signal = AbortSignal.timeout(PATIENCE);
    let answer;
    try {
      answer = await fetch(url, { method, body, headers: sent, signal, cache: "no-store", redirect: "error" });
    } catch (lost) {
      throw new Unheard("The server did not answer.", { cause: lost });
    }
    if (answer.ok || answer.status === 304) return answer;
    const problem = await problemOf(answer);
    if (!problem || answer.status === 500) throw new Unheard(`The server broke off (${answer.status}).`);
    if (problem.type === OTHER_SESSION) {
      const other = new OtherSession(answer.status, problem);
      this.dispatchEvent(new CustomEvent("othersession", { detail: other }));
      throw other;
    }
    if (problem.type === STEP_UP && problem.person && !touched) {
      try {
        await touch(this.#session);
      } catch (stopped) {
        if (!(stopped instanceof NoPasskey)) throw stopped;
        throw new Refused(answer.status, { ...problem, detail: `${problem.detail} ${stopped.detail}` });
      }
      return this.#ask(method, url, { body, headers, quiet, touched: true });
    }
    if (answer.status === 401 && problem.type && !quiet) this.dispatchEvent(new Event("signedout"));
    throw new Refused(answer.status, problem);
  }
}

/** Our server's own words; null for those of something on the way to it, such as a proxy's error page. */
async function problemOf(answer) {
  const ours = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (!ours) return answer.status < 500 ? { title: `Something between this page and the server refused (${answer.status}).` } : null;
  return answer.json().catch(() => null); // it broke off
}

/** Only what was seen is changed or agreed to. @param {Draft} draft */
function seen({ etag }) {
  return etag ? { "If-Match": etag } : {};
}

function drafts(channel, id) {
  const base = `/v1/channels/${encodeURIComponent(channel)}/drafts`;
  return id === undefined ? base : `${base}/${encodeURIComponent(id)}`;
}

function lines(channel, id) {
  const base = `/v1/channels/${encodeURIComponent(channel)}/lines`;
  return id === undefined ? base : `${base}/${encodeURIComponent(id)}`;
}
