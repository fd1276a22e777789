/** What a banner's board and its changes have for its reader. Pure. */

import { MINUTE } from "./units.js";

/** @typedef {import("./board.js").Change} Change @typedef {import("./board.js").Line} Line */

const RETRACTION_ROTATES = 15 * MINUTE; // rotate and scroll show what was withdrawn lately; list shows all of it
const URGENCIES = ["flash", "bulletin", "urgent", "update"];

/** Whether a line is at least so urgent; everything is, where that is no urgency. @param {Line} line @param {string} least */
export const isUrgentEnough = ({ urgency }, least) =>
  URGENCIES.indexOf(urgency) < (URGENCIES.indexOf(least) + 1 || Infinity);

/** @param {Line[]} lines @param {number} room for so many usable ones @param {number} now 0 for all that were withdrawn */
export const visibleLines = (lines, room, now) =>
  lines.filter(({ status, updated }) =>
    status === "usable" ? room-- > 0 : room > 0 && Date.parse(updated) > now - RETRACTION_ROTATES,
  );

/** @param {Change[]} changes @param {Change["kind"]} wanted */
export const idsOf = (changes, wanted) => changes.filter(({ kind }) => kind === wanted).map(({ line }) => line.id);

/** @param {Change} change */
export const isFlash = ({ kind, line }) => kind === "line" && line.urgency === "flash";
