/** What the build (../build.mjs) puts into the sources. */

/** Of ticker.extras.js, for an `integrity` attribute. */
declare const EXTRAS_INTEGRITY: string;

/** A style's text. */
declare module "*.css" {
  const style: string;
  export default style;
}
