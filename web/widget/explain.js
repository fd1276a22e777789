/** Why a banner shows no lines, said in the page's console. */

import { request } from "./request.js";

/** What was said already, by server and channel. */
const explained = new Set();

/**
 * @param {string} server
 * @param {string} channel "" if the banner names none
 * @param {boolean} isUnknown to the server, rather than that the server can't be reached
 */
export const explain = async (server, channel, isUnknown) => {
  const reason = server + (isUnknown ? "?" + channel : "");
  if (explained.has(reason)) return;
  explained.add(reason);
  let why;
  try {
    const { channels } = await (await request(server + "/v1/channels")).json();
    why = `has these: ${channels.map((/** @type {any} */ each) => each.slug).join(", ")}`;
    if (!isUnknown) return;
  } catch (/** @type {any} */ error) {
    why = `is no Ticker server: ${error.status ?? error}`;
  }
  console.error(`<breaking-ticker channel="${channel}">: ${server} ${why}`);
};
