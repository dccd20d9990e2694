// The point that the crops of an image show: a mark on the picture, which a click or the arrow keys move.

import { el } from './dom.js';
import { formatPercent } from './format.js';

/** @typedef {{ x: number, y: number }} Point */

const HELP = 'Click the point that every crop must show, or move it with the arrow keys and press Enter.';
const STEP = 0.01;
const LEAP = 0.1;
const MIDDLE = { x: 0.5, y: 0.5 };

/** @type {Record<string, [number, number]>} */
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Add the mark to a picture and, for those who may move it, a button.
 *
 * @param {{ frame: HTMLElement, stage: HTMLElement }} places `frame` covers exactly the picture, which may be smaller than
 *   a button; `stage` is around it.
 * @param {Point | null} point
 * @param {((point: Point | null) => void) | null} save
 */
export function addFocusPoint({ frame, stage }, point, save) {
  const mark = el('span', { class: 'focus-mark', attrs: { 'aria-hidden': 'true' } });
  if (point) put(mark, point);
  mark.hidden = !point;
  frame.append(mark);
  if (!save) return;
  const open = el('button', { class: 'button small focus-open', attrs: { type: 'button' } }, point ? 'Move focus' : 'Set focus');
  open.addEventListener('click', () => {
    open.hidden = true;
    edit({ frame, stage, mark }, point, (chosen) => {
      open.hidden = false;
      open.focus();
      mark.hidden = !point;
      if (point) put(mark, point);
      if (chosen !== undefined) save(chosen);
    });
  });
  stage.append(open);
}

/**
 * Let the user choose a point.
 *
 * @param {{ frame: HTMLElement, stage: HTMLElement, mark: HTMLElement }} elements
 * @param {Point | null} before
 * @param {(point: Point | null | undefined) => void} done gets null to remove the point, undefined if the user cancelled.
 */
function edit({ frame, stage, mark }, before, done) {
  let point = before ?? MIDDLE;
  const area = el('button', { class: 'focus-area', attrs: { type: 'button', 'aria-describedby': 'focus-help' } });
  const help = el('p', { class: 'focus-help', attrs: { id: 'focus-help' } }, HELP);
  const remove = before && el('button', { class: 'button small', attrs: { type: 'button' } }, 'Remove focus');
  const end = (/** @type {Point | null | undefined} */ chosen) => {
    for (const each of [area, help, remove]) each?.remove();
    done(chosen);
  };
  const show = () => {
    put(mark, point);
    area.setAttribute('aria-label', `Focus: ${formatPercent(point.x)} from the left, ${formatPercent(point.y)} from the top`);
  };
  area.addEventListener('click', (event) => {
    if (event.detail > 0) {
      const { left, top, width, height } = area.getBoundingClientRect();
      point = { x: within((event.clientX - left) / width), y: within((event.clientY - top) / height) };
    }
    end(point); // Enter and the space bar save the point where it is
  });
  area.addEventListener('keydown', (event) => {
    const move = MOVES[event.key];
    if (!move && event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation(); // arrow keys go to other images, and Escape closes the image
    if (!move) return end(undefined);
    const [across, down] = move;
    const distance = event.shiftKey ? LEAP : STEP;
    point = { x: within(point.x + across * distance), y: within(point.y + down * distance) };
    show();
  });
  remove?.addEventListener('click', () => end(null));
  if (remove) help.append(' ', remove);
  mark.hidden = false;
  show();
  frame.append(area);
  stage.append(help);
  area.focus();
}

/**
 * @param {HTMLElement} mark
 * @param {Point} point
 */
function put(mark, { x, y }) {
  mark.style.left = `${x * 100}%`;
  mark.style.top = `${y * 100}%`;
}

/** Limit a number to 0 to 1, with the four decimal places that the API keeps. @param {number} share */
function within(share) {
  return Math.round(Math.min(1, Math.max(0, share)) * 10_000) / 10_000;
}
