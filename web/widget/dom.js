/** Elements, made and written; events. What comes over the wire is text (`textContent`), never markup. */

/**
 * An element; its name is its class and its part.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {object|false} [properties]
 * @param {...(string|Node)} children
 */
export const make = (tag, name, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), name && { className: name, part: name }, properties);
  made.append(...children);
  return made;
};

/** Write what isn't there already: no change, no mutation. @param {Node} node @param {string} text */
export const write = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

/**
 * An event of ours, for the page.
 * @param {HTMLElement} host
 * @param {string} type
 * @param {object} detail
 * @returns {boolean} false when canceled
 */
export const dispatch = (host, type, detail) =>
  host.dispatchEvent(
    new CustomEvent(`ticker:${type}`, {
      bubbles: true,
      cancelable: /open|dismiss/.test(type),
      composed: true,
      detail,
    }),
  );
