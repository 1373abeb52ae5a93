// Templates for the document. Values only ever become text and attributes: nothing in these files builds markup.

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

const FOCUSABLE = new Set(["button", "input", "select"]);

/**
 * Make an element. JupyterLab's command mode takes x, 0 0, the arrows... from whatever has the focus, unless that very
 * element opts out: the same attribute on the panel around it is not enough.
 * @param {any} type
 * @param {Record<string, any> | null} props
 * @param {any[]} children
 */
function element(type, props, ...children) {
  const focusable = FOCUSABLE.has(type) || (typeof type === "string" && props && "tabindex" in props);
  return h(type, focusable ? { ...props, "data-lm-suppress-shortcuts": "true" } : props, ...children);
}

/** Return a part of the page: html`<p class=${name}>${text}</p>`. */
export const html = htm.bind(element);

/**
 * Join the class names that apply.
 * @param {(string | false | 0 | null | undefined)[]} names
 */
export const classes = (...names) => names.filter(Boolean).join(" ");

const MODULE = Math.random().toString(36).slice(2, 10); // every panel of a page has its own copy of this module
let count = 0;

/** Return an id that nothing else on the page has. */
export function newId() {
  count += 1;
  return `rllab-${MODULE}-${count}`;
}
