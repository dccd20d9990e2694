// The only way in which the page builds its DOM. Text goes into text nodes, so that no file name can become markup.

/**
 * @typedef {object} Options
 * @property {string} [class] the value of the attribute `class`.
 * @property {Record<string, string | number | boolean | null | undefined>} [attrs] attributes. `true` sets an empty
 *   value; `false`, null and undefined leave the attribute out.
 * @property {Record<string, (event: any) => void>} [on] event listeners by event type.
 * @property {Record<string, unknown>} [props] properties that are set on the element.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 */

import { printable } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Create an element.
 *
 * @template {string} Tag
 * @param {Tag} tag
 * @param {Options} [options]
 * @param {...(Child | Child[])} children
 * @returns {Tag extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[Tag] : HTMLElement}
 */
export function el(tag, options = {}, ...children) {
  const element = /** @type {any} */ (document.createElement(tag));
  configure(element, options);
  element.append(...nodes(children));
  return element;
}

/**
 * Create an SVG element.
 *
 * @param {string} tag
 * @param {Options} [options]
 * @param {...(Child | Child[])} children
 * @returns {SVGElement}
 */
export function svg(tag, options = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  configure(element, options);
  element.append(...nodes(children));
  return element;
}

/**
 * Replace the children of an element.
 *
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

/**
 * Show a text whose direction cannot change the text around it.
 *
 * @param {string} text
 * @param {Options} [options]
 */
export function isolated(text, options = {}) {
  return el('bdi', { ...options, attrs: { dir: 'auto', ...options.attrs } }, text);
}

/**
 * Show a text that a user chose. It cannot look like another one.
 *
 * @param {string} text
 * @param {Options} [options]
 */
export function bdi(text, options = {}) {
  return isolated(printable(text), options);
}

/**
 * @param {Element} element
 * @param {Options} options
 */
function configure(element, { class: className, attrs = {}, on = {}, props = {} }) {
  if (className) element.setAttribute('class', className);
  for (const [name, value] of Object.entries(attrs)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
  Object.assign(element, props);
}

/** @param {(Child | Child[])[]} children */
function nodes(children) {
  return /** @type {(Node | string)[]} */ (
    children
      .flat()
      .filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (typeof child === 'number' ? String(child) : child))
  );
}
