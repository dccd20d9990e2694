// Buttons with icons.

import { el } from './dom.js';
import { icon } from './icons.js';

/**
 * @param {string} label
 * @param {import('./icons.js').IconName} name
 * @param {() => void} run
 * @param {string} [className]
 */
export function button(label, name, run, className = '') {
  return el('button', { class: `button small ${className}`, attrs: { type: 'button' }, on: { click: run } }, icon(name), label);
}

/**
 * @param {string} label
 * @param {import('./icons.js').IconName} name
 * @param {() => void} run
 */
export function iconButton(label, name, run) {
  return el(
    'button',
    { class: 'icon-button', attrs: { type: 'button', 'aria-label': label, title: label }, on: { click: run } },
    icon(name),
  );
}
