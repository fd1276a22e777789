// @ts-check
/** Tells the page around this one how high the banner is, in CSS pixels: `{type: "ticker:height", height}`. */

let told = 0;

function tell() {
  // A line that a reader has unfolded stands out below the banner: scrollHeight has it, the body's box has not.
  const height = Math.ceil(Math.max(document.body.scrollHeight, document.body.getBoundingClientRect().height));
  if (height === told) return;
  told = height;
  parent.postMessage({ type: "ticker:height", height }, "*"); // whoever frames us may know, and there is nothing else in it
}

if (parent !== window) {
  const sizes = new ResizeObserver(tell);
  sizes.observe(document.body);
  const stage = document.querySelector("breaking-ticker")?.shadowRoot?.querySelector("[part~=stage]");
  if (stage) sizes.observe(stage);
}
