/** In the classic script, in place of load-extras.js: the extras are in it. */

import * as extras from "./extras.js";

export { directionOf } from "./extras.js";

export const areExtrasMissing = false;

/** @param {(each: typeof extras) => void} use */
export const withExtras = (use) => {
  use(extras);
};
