/** The ways in which frames come from a server. Each gives text to `receive`, and ends with its signal. */

import { request } from "./request.js";

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {(data: string) => void} receive
 * @returns {Promise<number|undefined>} the code that the server closed it with (RFC 6455, 7.4)
 */
export const overWebSocket = (url, signal, receive) =>
  new Promise((resolve) => {
    const socket = new WebSocket(url.replace("http", "ws"));
    socket.onmessage = ({ data }) => receive(data);
    signal.onabort = socket.onclose = (/** @type {any} */ { code }) => {
      socket.close();
      resolve(code);
    };
  });

/**
 * Frames by HTTP, one a line: a stream of them, or a single one. It accepts what every `fetch` does; of the live
 * address that is the stream.
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {(data: string) => void} receive
 */
export const overHttp = async (url, signal, receive) => {
  // The browser asks with If-None-Match; set by hand it would cost a CORS preflight.
  const response = await request(url, { cache: "no-cache", signal });
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
