/** A time on the newsroom's clocks, as a moment. Pure; knows no page. */

const DAY = 86_400_000; // ms

/** How far the clocks of a zone are ahead of UTC at a moment, in ms. @param {number} ms @param {string} zone IANA */
function offsetAt(ms, zone) {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23",
    year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
  });
  const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - Math.floor(ms / 1000) * 1000;
}

/**
 * The moments at which the clocks of a zone show a time: none when they are put forward then, two when they are put back.
 * @param {string} local as a datetime-local field gives it @param {string} zone IANA @returns {Date[]}
 */
export function moments(local, zone) {
  const shown = Date.parse(`${local}Z`);
  if (Number.isNaN(shown)) return [];
  const offsets = new Set([offsetAt(shown - DAY, zone), offsetAt(shown + DAY, zone)]);
  return [...offsets].map((offset) => shown - offset).filter((ms) => ms + offsetAt(ms, zone) === shown)
    .sort((a, b) => a - b).map((ms) => new Date(ms));
}

/** A moment on the newsroom's clocks. @param {string|Date} time @param {string} zone IANA */
export function inNewsroom(time, zone) {
  return new Intl.DateTimeFormat(undefined, {
    timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).format(new Date(time));
}

/** "3 s", "12 min", "2 h 5 min", "3 d": until then. @param {number} seconds */
export function countdown(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  if (left < 60) return `${left} s`;
  if (left < 600) return `${Math.floor(left / 60)} min ${left % 60} s`;
  if (left < 3_600) return `${Math.floor(left / 60)} min`;
  if (left < 86_400) return `${Math.floor(left / 3_600)} h ${Math.floor((left % 3_600) / 60)} min`;
  return `${Math.floor(left / 86_400)} d`;
}
