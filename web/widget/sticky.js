/** A banner that stays on the screen, and a page that leaves it room. */

/**
 * Keeps a sticky banner on the screen. CSS does that, as long as what is around it reaches to the end of the page, and
 * `bottom` stands at that end: else it is taken out of the flow.
 */
export class StickyPlace {
  #host;
  #sheet;
  /** @type {"top"|"bottom"} */
  #edge;
  /** Keeps its room at the top, meanwhile. The tag is no one else's. */
  #room = document.createElement("ticker-room");
  #isOut = false;
  /** For what the page leaves free. */
  #pageSheet = new CSSStyleSheet();
  #covered = 0;
  #sizes = new ResizeObserver(() => this.#placeAgain());

  /**
   * @param {HTMLElement} host
   * @param {CSSStyleSheet} sheet of the banner's own, for its place out of the flow
   * @param {AbortSignal} signal ends it
   */
  constructor(host, sheet, signal) {
    this.#host = host;
    this.#sheet = sheet;
    this.#edge = host.getAttribute("sticky") === "bottom" ? "bottom" : "top";
    document.adoptedStyleSheets.push(this.#pageSheet);
    this.#sizes.observe(host);
    this.#sizes.observe(host.parentElement ?? host);
    addEventListener("scroll", () => this.#place(), { capture: true, passive: true, signal });
    addEventListener("resize", () => this.#placeAgain(), { signal });
    signal.addEventListener("abort", () => this.#end());
  }

  #end() {
    this.#sizes.disconnect();
    this.#putBack();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== this.#pageSheet);
  }

  #placeAgain() {
    this.#covered = 0;
    this.#putBack();
    this.#place();
  }

  #place() {
    const edge = this.#edge;
    const { left, top, width, height } = this.#host.getBoundingClientRect();
    const inset = parseFloat(getComputedStyle(this.#host)[edge]) || 0;
    const isWithin = this.#isWithinScroller();
    if (this.#isOut && !(height && (edge === "bottom" || this.#room.getBoundingClientRect().top < inset)))
      this.#putBack();
    else if (!this.#isOut && height && !isWithin && (edge === "bottom" || top < inset - 1)) {
      this.#isOut = true;
      this.#room.style.cssText = `display:block;flex:none;height:${height}px;width:${width}px`;
      if (edge === "top") this.#host.before(this.#room);
      this.#sheet.replaceSync(
        `@media not print{:host([sticky]){position:fixed!important;inset:auto!important;${edge}:${inset}px!important;left:${left}px!important;width:${width}px!important;margin:0!important}}`,
      );
    }
    this.#leaveFree(height && !isWithin ? height + inset : 0);
  }

  #putBack() {
    this.#isOut = false;
    this.#sheet.replaceSync("");
    this.#room.remove();
  }

  /** Whether it is inside something that scrolls by itself. */
  #isWithinScroller() {
    let isWithin = false;
    for (let each = this.#host.parentElement; each && each !== document.body; each = each.parentElement)
      isWithin ||= each.scrollHeight > each.clientHeight && /auto|scroll/.test(getComputedStyle(each).overflowY);
    return isWithin;
  }

  /**
   * Nothing that has focus is behind the banner (WCAG 2.2, 2.4.11), nor is the end of the page. If the page leaves
   * enough free by itself, that is left as it is.
   * @param {number} size
   */
  #leaveFree(size) {
    if (this.#covered === size) return;
    this.#covered = size;
    this.#pageSheet.replaceSync("");
    const own = /** @type {any} */ (getComputedStyle(document.documentElement));
    const rule = (/** @type {string} */ name, /** @type {number} */ px) =>
      `${name}:${Math.max(px, parseFloat(own[name]) || 0)}px!important;`;
    const padding = rule("padding-bottom", this.#edge === "bottom" ? size : 0);
    this.#pageSheet.replaceSync(
      `@media not print{html{${rule(`scroll-padding-${this.#edge}`, size)}${padding}}}`,
    );
  }
}
