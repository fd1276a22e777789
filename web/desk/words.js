/** How the desk puts things into words: characters, ages, times, names. Pure; knows no page. */

export const TEXT_MAX = 280; // characters as people count them; the server's limit, and its the last word
const NEAR = 240; // from here on the count warns: 40 left is about one more clause

/** @type {Record<string, string>} */
export const URGENCIES = { flash: "Flash", bulletin: "Bulletin", urgent: "Urgent", update: "Update" };

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const COUNTED_MAX = 20_000; // code units; anything longer is too long by every way of counting

const graphemes = Intl.Segmenter && new Intl.Segmenter(undefined, { granularity: "grapheme" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Characters as readers count them (UAX #29); code points if the browser can't. @param {string} text */
export function characters(text) {
  if (text.length > COUNTED_MAX) return text.length;
  let count = 0;
  if (!graphemes) return [...text].length;
  for (const _ of graphemes.segment(text)) count += 1;
  return count;
}

/** What to say about a length. @param {number} length @returns {{word: string, tone: "calm"|"near"|"over"}} */
export function measure(length) {
  if (length > TEXT_MAX) return { word: `${length} / ${TEXT_MAX} · ${length - TEXT_MAX} too many`, tone: "over" };
  if (length >= NEAR) return { word: `${length} / ${TEXT_MAX} · ${TEXT_MAX - length} left`, tone: "near" };
  return { word: `${length} / ${TEXT_MAX}`, tone: "calm" };
}

/** "now", "40 s", "3 min", "2 h", "5 d". @param {number} seconds */
export function span(seconds) {
  if (seconds < 5) return "now";
  if (seconds < MINUTE) return `${Math.floor(seconds / 5) * 5} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ${Math.floor((seconds % HOUR) / MINUTE)} min`.replace(" 0 min", "");
  return `${Math.floor(seconds / DAY)} d`;
}

/** @param {string|number|Date} time with seconds */
export const toTheSecond = (time) => clock.format(new Date(time));

/** With the day if it isn't today. @param {string|number|Date} time */
export function toTheMinute(time) {
  const then = new Date(time);
  return (then.toDateString() === new Date().toDateString() ? short : dated).format(then);
}

/** @param {string|number|Date} time */
export const inFull = (time) => full.format(new Date(time));

/** Where a link leads, in few words. @param {string} url */
export function hostOf(url) {
  try {
    return new URL(url).hostname.replace(/^www\./, "");
  } catch {
    return url;
  }
}

/** The change to send for a choice of "On air for"; nothing for the default. @param {string} choice */
export function expiry(choice) {
  if (choice === "") return {};
  return choice === "never" ? { expires: null } : { expires_in: Number(choice) };
}
