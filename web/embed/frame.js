// @ts-check
/** Tells the page around this one how high the banner is, in CSS pixels: `{type: "ticker:height", height}`. */

const banner = /** @type {HTMLElement} */ (document.querySelector("breaking-ticker"));
let told = -1;

function tell() {
  // A line that a reader has unfolded stands out below the banner: scrollHeight has it, the body's box has not.
  const height = Math.ceil(Math.max(document.body.scrollHeight, document.body.getBoundingClientRect().height));
  if (height === told) return;
  if (!height && banner.getAttribute("state") === "connecting") return; // whether it hides when empty isn't known yet
  told = height;
  parent.postMessage({ type: "ticker:height", height }, "*"); // any page that frames us may know it, and it contains nothing else
}

if (parent !== window) {
  const sizes = new ResizeObserver(tell);
  sizes.observe(document.body);
  const stage = banner.shadowRoot?.querySelector("[part~=stage]");
  if (stage) sizes.observe(stage);
  // Out of sight nothing is laid out by itself, and so nothing is observed: what is scrolled to has its height by then.
  for (const type of ["state", "line", "correction", "cancel"]) banner.addEventListener(`ticker:${type}`, tell);
}
