// What the page shows in place of pictures: where to drop the first one, or why there are none.

import { el, svg } from './dom.js';
import { icon } from './icons.js';

/**
 * @param {object} options
 * @param {boolean} options.canUpload
 * @param {() => void} options.choose
 */
export function firstVisit({ canUpload, choose }) {
  if (!canUpload) return message('No images yet', 'Images appear here as soon as somebody uploads them.', sheets());
  const canDrop = matchMedia('(hover: hover)').matches;
  return el(
    'div',
    { class: 'drop-here' },
    message(
      canDrop ? 'Drop your first images here' : 'Add your first images',
      `${canDrop ? 'Drop files or whole folders anywhere on this page, or paste an image.' : 'Choose them from this device.'} Each one shows how it is processed, and why if it fails.`,
      sheets(),
      el('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: choose } }, icon('upload'), 'Choose files'),
    ),
  );
}

/** @param {() => void} clear */
export function noResult(clear) {
  return message(
    'No image matches these filters',
    'Remove a filter to see more, or clear all of them.',
    el('button', { class: 'button', attrs: { type: 'button' }, on: { click: clear } }, 'Clear all filters'),
  );
}

/**
 * @param {string} text
 * @param {() => void} retry
 */
export function listFailed(text, retry) {
  return message(
    'The images cannot be listed',
    text,
    el('button', { class: 'button', attrs: { type: 'button' }, on: { click: retry } }, icon('reprocess'), 'Retry'),
  );
}

/**
 * @param {string} title
 * @param {string} text
 * @param {...Element} more a picture, buttons.
 */
function message(title, text, ...more) {
  const [picture, buttons] = more[0] instanceof SVGElement ? more : [null, more[0]];
  return el('div', { class: 'empty' }, picture, el('h2', {}, title), el('p', {}, text), buttons && el('div', { class: 'buttons' }, buttons));
}

/** Draw three pictures that lie on each other. */
function sheets() {
  const sheet = (/** @type {string} */ className, /** @type {string} */ transform, /** @type {SVGElement[]} */ ...inner) =>
    svg('g', { attrs: { transform } }, svg('rect', { class: className, attrs: { x: -60, y: -42, width: 120, height: 84, rx: 8 } }), inner);
  return svg(
    'svg',
    { class: 'art', attrs: { viewBox: '-88 -64 176 128', 'aria-hidden': 'true' } },
    sheet('sheet', 'translate(-14 -6) rotate(-9)'),
    sheet('sheet', 'translate(14 -4) rotate(7)'),
    sheet(
      'sheet front',
      'translate(0 4)',
      svg('circle', { class: 'sun', attrs: { cx: 30, cy: -18, r: 8 } }),
      svg('path', { class: 'hill', attrs: { d: 'M-52 34V16l26-26a6 6 0 0 1 8 0l40 44Z' } }),
      svg('path', { class: 'hill near', attrs: { d: 'M-16 34 18 4a6 6 0 0 1 8 0l26 22v8Z' } }),
    ),
  );
}
