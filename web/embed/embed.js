// @ts-check
/** The snippet builder. The server builds what the form asks for; this asks it at every change, previews and copies. */

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (at("choices"));
const COPIED_FOR = 2_000; // ms
/** The newest change; what was asked before it comes too late. */
let asking = new AbortController();

/** What the form says, without what it leaves open. */
function address() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string" && value) query.append(name, value);
  if (query.get("mode") === "rotate") query.delete("mode");
  return `/embed?${query}`;
}

async function build() {
  asking.abort();
  asking = new AbortController();
  const url = address();
  try {
    const response = await fetch(url, { signal: asking.signal });
    if (!response.ok) throw new Error(response.statusText);
    show(new DOMParser().parseFromString(await response.text(), "text/html"));
    history.replaceState(null, "", url); // a link to these choices
    if (document.body.classList.contains("stale")) at("said").textContent = "";
    document.body.classList.remove("stale");
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    document.body.classList.add("stale");
    at("said").textContent = "The server can’t be reached: these lines are not of your last choice.";
  }
}

/** Make this page's preview and snippets those of another. @param {Document} built */
function show(built) {
  for (const code of document.querySelectorAll("code[id]")) {
    const text = built.getElementById(code.id)?.textContent ?? "";
    if (code.textContent !== text) code.textContent = text;
  }
  for (const id of ["banner", "sheet", "public", "max"]) become(at(id), built.getElementById(id));
}

/** @param {Element} element @param {Element|null} other */
function become(element, other) {
  if (!other) return;
  for (const name of element.getAttributeNames()) {
    // What the banner says of itself, and what no server writes, stays.
    if (!other.hasAttribute(name) && name !== "state" && name !== "value") element.removeAttribute(name);
  }
  for (const name of other.getAttributeNames()) {
    const value = other.getAttribute(name) ?? "";
    if (name !== "value" && element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

/** @param {HTMLButtonElement} button */
async function copy(button) {
  const code = at(button.dataset.copies ?? "");
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    button.textContent = "Copied";
    at("said").textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(code); // no clipboard without https: leave it to the reader's keys
    button.textContent = "Press Ctrl+C";
    at("said").textContent = "It is selected: press Ctrl and C";
  }
  setTimeout(() => {
    button.textContent = "Copy";
    at("said").textContent = "";
  }, COPIED_FOR);
}

form.addEventListener("input", () => void build());
form.addEventListener("submit", (event) => event.preventDefault());
for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll(".copy"))) {
  button.hidden = false;
  button.addEventListener("click", () => void copy(button));
}
at("widths").hidden = false;
at("widths").addEventListener("input", (event) => {
  at("mat").dataset.width = /** @type {HTMLInputElement} */ (event.target).value;
});
