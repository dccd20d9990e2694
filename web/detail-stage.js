// The top of the details: the picture, or why there is none.

import { button } from './buttons.js';
import { WIDE } from './detail-place.js';
import { stepName } from './detail-facts.js';
import { el } from './dom.js';
import { formatPercent, printable } from './format.js';
import { icon } from './icons.js';
import { hasTransparency, isPending, mergedSrcset, remedyFor } from './picture.js';
import { drawThumbhash } from './thumbhash.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 *
 * @typedef {object} Uses
 * @property {import('./session.js').Session} session
 * @property {import('./actions.js').Actions} actions
 * @property {(name: string) => void} replace chooses another file for a name.
 */

const CALM = '(prefers-reduced-motion: reduce)';

/** Say that the image is not known, and why. @param {{ error: Error | null, isLoading: boolean, retry: () => void }} state */
export function absence({ error, isLoading, retry }) {
  if (error) return message('alert', 'The image cannot be read', error.message, button('Try again', 'reprocess', retry));
  if (isLoading) return el('span', { class: 'spinner' });
  return message('image', 'There is no image of this name', 'It was never uploaded, or the link is wrong.');
}

/**
 * Say why an image has no picture.
 *
 * @param {Picture} picture
 * @param {Uses} uses
 */
export function explanation(picture, uses) {
  if (picture.state === 'FAILED') return failure(picture, uses);
  return message('trash', 'This upload was deleted', 'Old versions are kept for some time, so it can be restored.');
}

/**
 * Show the picture, as far as it is known.
 *
 * @param {Picture} picture
 * @param {HTMLImageElement | null} before stays if it shows the same files, because a new one would fade in again.
 * @returns {HTMLElement} covers exactly the picture.
 */
export function pictureFrame(picture, before) {
  const { width, height } = picture;
  const frame = el('div', { class: `detail-frame ${hasTransparency(picture) ? 'transparent' : ''}` });
  if (width && height) {
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.setProperty('--image-width', `${width}px`);
    frame.style.setProperty('--ratio', String(width / height));
  }
  const placeholder = el('canvas', { class: 'detail-placeholder', attrs: { 'aria-hidden': 'true' } });
  if (picture.thumbhash && drawThumbhash(placeholder, picture.thumbhash)) frame.append(placeholder);
  if (picture.src) frame.append(pictureImage(picture, picture.src, before));
  else if (!picture.thumbhash) frame.append(icon('image'));
  return frame;
}

/**
 * Say what happens to an image that has no outcome yet.
 *
 * @param {Picture} picture
 */
export function pictureProgress(picture) {
  return isPending(picture) && el('p', { class: 'detail-progress' }, el('span', { class: 'spinner' }), progressOf(picture));
}

/**
 * @param {Picture} picture
 * @param {string} src
 * @param {HTMLImageElement | null} before
 */
function pictureImage(picture, src, before) {
  const moving = matchMedia(CALM).matches ? '' : picture.moving;
  const srcset = src.startsWith('blob:') ? '' : moving || mergedSrcset(picture);
  if (before?.classList.contains('loaded') && filesOf(before) === filesOf({ src, srcset })) {
    before.alt = altOf(picture);
    return before;
  }
  const image = el('img', { attrs: { src, srcset: srcset || null, sizes: `${WIDE} 40vw, 100vw`, alt: altOf(picture) } });
  if (image.complete) image.classList.add('loaded');
  image.addEventListener('load', () => image.classList.add('loaded'), { once: true });
  return image;
}

/**
 * @param {Picture} picture
 * @param {Uses} uses
 */
function failure(picture, { session, actions, replace }) {
  const error = picture.error ?? { code: '', message: 'The image could not be processed.', hint: '' };
  const help =
    remedyFor(picture.error) === 'replace'
      ? session.can('upload') && button('Replace file', 'replace', () => replace(picture.name), 'primary')
      : session.can('delete') && button('Reprocess', 'reprocess', () => void actions.reprocess([picture.key]), 'primary');
  return el(
    'div',
    { class: 'detail-message problem', attrs: { role: 'group', 'aria-label': 'Failure' } },
    icon('alert'),
    el('h3', {}, error.message),
    error.hint && el('p', {}, error.hint),
    error.step && el('p', { class: 'soft' }, `Failed in the step “${stepName(error.step)}” with `, el('code', {}, error.code), '.'),
    help,
  );
}

/** Return addresses without their signatures. @param {{ src: string, srcset: string }} image */
function filesOf({ src, srcset }) {
  return `${src} ${srcset}`.replace(/\?[^\s,]*/g, '');
}

/** @param {Picture} picture */
function altOf({ labels, fileName }) {
  return printable(labels.length ? labels.slice(0, 3).join(', ') : fileName);
}

/** @param {Picture} picture */
function progressOf({ state, step, progress }) {
  if (state === 'UPLOADING') return `Uploading ${formatPercent(progress ?? 0)}`;
  return step ?? (state === 'WAITING' ? 'Waiting for the pipeline' : 'Processing');
}

/**
 * @param {import('./icons.js').IconName} name
 * @param {string} title
 * @param {string} text
 * @param {Node | null} [child]
 */
function message(name, title, text, child = null) {
  return el('div', { class: 'detail-message' }, icon(name), el('h3', {}, title), el('p', {}, text), child);
}
