/** What a reader is at. What they point at or have focused stays (WCAG 2.2, 2.2.2). */

/** Whether they asked for less motion. */
export const lessMotion = globalThis.matchMedia?.("(prefers-reduced-motion:reduce)");

/** @param {ShadowRoot} root */
export const isFocused = (root) => root.activeElement?.matches(":focus-visible"); // a click leaves focus behind: not that

/** @param {Element} bar */
export const isHovered = (bar) => bar.matches(":hover") && matchMedia("(any-hover)").matches; // a finger doesn't

/**
 * Whether words of ours are selected. Chrome alone tells what is so in a shadow tree by the tree itself.
 * @param {any} root
 */
export const isSelected = (root) => {
  const selection = root.getSelection?.() ?? getSelection();
  return selection?.type === "Range" && root.contains(selection.anchorNode);
};
