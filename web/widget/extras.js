/** What few banners need: built into a file of its own, ../ticker.extras.js, that is loaded by those (load-extras.js). */

export { Belt } from "./belt.js";
export { directionOf } from "./direction.js";
export { explain } from "./explain.js";
export { StickyPlace } from "./sticky.js";
