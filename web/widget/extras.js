/** Parts that few banners need, built into ../ticker.extras.js. Only those banners load that file (load-extras.js). */

export { Belt } from "./belt.js";
export { directionOf } from "./direction.js";
export { explain } from "./explain.js";
export { StickyPlace } from "./sticky.js";
