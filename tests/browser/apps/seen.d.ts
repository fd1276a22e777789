/** What the test reads, and where the script comes from. */
interface Window {
  /** What the application heard of, in order. */
  heard: (string | undefined)[];
}

declare module "https://ticker.example/ticker.js";
