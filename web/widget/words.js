/**
 * What the banner itself says. English is in the script, for when nothing else can be had; another language's words
 * (web/words.json) are one small file of the server's, asked for when a banner first speaks it.
 */

/** @typedef {typeof ENGLISH} Words */

export const ENGLISH = {
  label: "Breaking", // until the board has brought its own
  corrected: "Corrected",
  canceled: "Retracted",
  withheld: "On hold",
  delayed: "Delayed",
  offline: "Offline since",
  resume: "Resume",
  empty: "No breaking news right now",
  next: "Next",
  previous: "Previous",
  pause: "Pause",
  fresh: "New",
  flash: "Flash",
  close: "Close",
  away: "While you were away",
};
