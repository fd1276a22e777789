/** Passkeys in the browser (W3C Web Authentication). Knows the server's addresses for them; knows no page. */

const PATIENCE = 15_000; // ms for an answer of the server; the browser's own dialog may stand as long as it likes

/** The person or the browser broke it off, or the server refused it: nothing was done. `detail` is for the person. */
export class NoPasskey extends Error {
  /** @param {string} detail @param {number} [status] */
  constructor(detail, status = 0) {
    super(detail);
    this.detail = detail;
    this.status = status;
  }
}

const WORDS = {
  away: "The server does not answer. Try again.",
  stopped: "It was stopped, or took too long. Try again.",
  known: "This device has a passkey for you already. Sign in with it.",
  failed: "This browser could not do it. Try another browser or device.",
};

/** Whether this browser makes passkeys on this page. */
export function passkeysWork() {
  return isSecureContext && "PublicKeyCredential" in window && !/^[\d.]+$|^\[/u.test(location.hostname);
}

/** Sign in with whatever passkey the person chooses. */
export async function signIn() {
  const options = await send("/desk/passkey/options", {});
  await send("/desk/passkey", { credential: await get(options) });
}

/** Whom an invitation's word invites; nothing is used up. @param {string} word @returns {Promise<{name: string, options: object}>} */
export function invited(word) {
  return send("/desk/invitation/options", { word });
}

/** Register a passkey by invitation, and be signed in. @param {string} word @param {object} options @param {string} name */
export async function accept(word, options, name) {
  await send("/desk/invitation", { word, credential: await create(options), ...(name && { name }) });
}

/** Show that it is you, for what a session alone may not do. @param {string} [session] which the page believes in */
export async function touch(session) {
  const options = await send("/desk/touch/options", {}, session);
  await send("/desk/touch", { credential: await get(options) }, session);
}

/** One more passkey for who is signed in. @param {string} session */
export async function add(session) {
  const options = await send("/desk/passkeys/options", {}, session);
  await send("/desk/passkeys", { credential: await create(options) }, session);
}

async function get(options) {
  const credential = await asked(() => navigator.credentials.get({ publicKey: {
    ...options,
    challenge: bytes(options.challenge),
    allowCredentials: (options.allowCredentials ?? []).map(withBytes),
  } }));
  const { response } = credential;
  return written(credential, {
    clientDataJSON: text(response.clientDataJSON),
    authenticatorData: text(response.authenticatorData),
    signature: text(response.signature),
    userHandle: response.userHandle && text(response.userHandle),
  });
}

async function create(options) {
  const credential = await asked(() => navigator.credentials.create({ publicKey: {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: (options.excludeCredentials ?? []).map(withBytes),
  } }));
  const { response } = credential;
  return written(credential, {
    clientDataJSON: text(response.clientDataJSON),
    attestationObject: text(response.attestationObject),
    transports: response.getTransports?.() ?? [],
  });
}

/** @param {() => Promise<any>} ask the browser */
async function asked(ask) {
  try {
    const credential = await ask();
    if (credential) return credential;
  } catch (problem) {
    const { name } = /** @type {DOMException} */ (problem);
    if (name === "InvalidStateError") throw new NoPasskey(WORDS.known);
    if (name === "NotAllowedError" || name === "AbortError") throw new NoPasskey(WORDS.stopped);
    throw new NoPasskey(WORDS.failed);
  }
  throw new NoPasskey(WORDS.failed);
}

/** @param {string} url @param {object} body @param {string} [session] @returns {Promise<any>} */
async function send(url, body, session) {
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...(session && { "Ticker-Session": session }) },
      signal: AbortSignal.timeout(PATIENCE),
      redirect: "error",
    });
    if (answer.status === 204) return null;
    const said = await answer.json();
    if (answer.ok) return said;
    throw new NoPasskey(said.detail ?? WORDS.failed, answer.status);
  } catch (problem) {
    if (problem instanceof NoPasskey) throw problem;
    throw new NoPasskey(WORDS.away);
  }
}

function written(credential, response) {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response };
}

function withBytes(descriptor) {
  return { ...descriptor, id: bytes(descriptor.id) };
}

/** @param {string} base64url */
function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
}

/** @param {ArrayBuffer} buffer base64url of it */
function text(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
