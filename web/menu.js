// A menu below a button. The browser opens it, closes it on Escape and on a click elsewhere, and returns the focus.

import { el, fill } from './dom.js';

const MARGIN = 8;
let count = 0;

/**
 * Attach a menu to a button.
 *
 * @param {HTMLButtonElement} button
 * @param {object} options
 * @param {string} options.label the accessible name of the menu.
 * @param {() => (Node | null | false)[]} options.build makes the content, each time the menu opens.
 * @returns {HTMLElement} place it next to the button.
 */
export function attachMenu(button, { label, build }) {
  count += 1;
  const menu = el('div', { class: 'menu', attrs: { id: `menu-${count}`, popover: 'auto', role: 'dialog', 'aria-label': label } });
  button.popoverTargetElement = menu;
  button.setAttribute('aria-haspopup', 'dialog');
  button.setAttribute('aria-expanded', 'false');
  menu.addEventListener('beforetoggle', (event) => {
    if (event.newState === 'open') fill(menu, build());
  });
  menu.addEventListener('toggle', (event) => {
    const isOpen = event.newState === 'open';
    button.setAttribute('aria-expanded', String(isOpen));
    if (!isOpen) return;
    place(menu, button);
    const first = menu.querySelector('[aria-pressed="true"], input, button');
    if (first instanceof HTMLElement) first.focus();
  });
  menu.addEventListener('keydown', (event) => moveFocus(menu, event));
  return menu;
}

/**
 * Make an item of a menu. It closes the menu.
 *
 * @param {(Node | string | null | false)[]} content
 * @param {() => void} run
 * @param {Record<string, string | boolean>} [attrs]
 */
export function menuItem(content, run, attrs = {}) {
  const button = el('button', { class: 'menu-item', attrs: { type: 'button', ...attrs } }, content);
  button.addEventListener('click', () => {
    closeMenuOf(button);
    run();
  });
  return button;
}

/** @param {Element} element */
export function closeMenuOf(element) {
  const menu = element.closest('.menu');
  if (menu instanceof HTMLElement) menu.hidePopover();
}

/**
 * @param {HTMLElement} menu
 * @param {HTMLElement} button
 */
function place(menu, button) {
  const anchor = button.getBoundingClientRect();
  const { width } = menu.getBoundingClientRect();
  const widest = document.documentElement.clientWidth - width - MARGIN;
  const isAtEnd = anchor.left + anchor.width / 2 > innerWidth / 2;
  const left = isAtEnd ? anchor.right - width : anchor.left;
  menu.style.left = `${Math.max(MARGIN, Math.min(widest, left))}px`;
  menu.style.top = `${anchor.bottom + 6}px`;
}

/**
 * @param {HTMLElement} menu
 * @param {KeyboardEvent} event
 */
function moveFocus(menu, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !(event.target instanceof HTMLButtonElement)) return;
  const items = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll('.menu-item')]);
  const at = items.indexOf(event.target);
  event.preventDefault();
  items.at((at + step) % items.length)?.focus();
}
