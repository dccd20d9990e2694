// The middle of the details: the name of the image, its main facts, and what can be done with it.

import { button } from './buttons.js';
import { bdi, el } from './dom.js';
import { formatBytes, formatTime } from './format.js';
import { icon } from './icons.js';
import { nameOf, STATE_NAMES } from './picture.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 *
 * @typedef {object} Uses
 * @property {import('./session.js').Session} session
 * @property {import('./actions.js').Actions} actions
 * @property {import('./copies.js').Copies | null} copies of the image; null if there is nothing to copy.
 * @property {(folder: string) => void} showFolder
 * @property {() => void} remove
 */

/**
 * @param {{ key: string, picture: Picture | null, isBusy: boolean }} view `isBusy`: an action runs on the image.
 * @param {Uses} uses
 */
export function headContent({ key, picture, isBusy }, uses) {
  const name = nameOf(key);
  const end = name.lastIndexOf('/') + 1;
  const folder = name.slice(0, end);
  return [
    el('h2', { attrs: { id: 'detail-name' } }, bdi(name.slice(end) || name)),
    folder && folderButton(folder, uses),
    picture && mainFacts(picture),
    picture?.lastFailure && lastFailure(picture.lastFailure),
    picture && buttons(picture, isBusy, uses),
  ];
}

/**
 * @param {string} folder
 * @param {Uses} uses
 */
function folderButton(folder, { showFolder }) {
  const options = { class: 'detail-folder', attrs: { type: 'button', title: 'Show this folder' }, on: { click: () => showFolder(folder) } };
  return el('button', options, icon('folder'), bdi(folder));
}

/** @param {Picture} picture */
function mainFacts({ state, width, height, sizeBytes, format, uploadedAt }) {
  const facts = [width && height ? `${width} × ${height}` : null, sizeBytes === null ? null : formatBytes(sizeBytes), format];
  return el(
    'p',
    { class: 'detail-meta' },
    el('span', { class: 'detail-state' }, el('span', { class: 'dot', attrs: { 'data-state': state } }), STATE_NAMES[state]),
    facts.filter(Boolean).map((fact) => el('span', {}, fact)),
    uploadedAt && el('time', { attrs: { datetime: uploadedAt } }, formatTime(uploadedAt)),
  );
}

/** @param {import('./picture.js').Problem} failure */
function lastFailure({ message, hint }) {
  return el(
    'div',
    { class: 'detail-notice' },
    icon('alert'),
    el('p', {}, el('strong', {}, 'The last reprocess failed and kept this image.'), ` ${message} ${hint}`),
  );
}

/**
 * @param {Picture} picture
 * @param {boolean} isBusy
 * @param {Uses} uses
 */
function buttons({ key, state }, isBusy, { session, actions, copies, remove }) {
  const canChange = session.can('delete');
  const isStored = state !== 'DELETED' && state !== 'UPLOADING';
  const shown = state === 'DELETED' ? null : copies;
  const all = [
    shown && button('Copy <picture>', 'copy', () => shown.copyMarkup(), 'primary'),
    shown && button('Copy link', 'link', () => shown.copyLink()),
    isStored && session.can('read') && button('Download original', 'download', () => void actions.download(key)),
    isStored && canChange && button('Reprocess', 'reprocess', () => void actions.reprocess([key])),
    isStored && canChange && button('Delete', 'trash', remove, 'danger'),
    state === 'DELETED' && canChange && button('Restore', 'restore', () => void actions.restore([key]), 'primary'),
  ].filter((each) => each instanceof HTMLButtonElement);
  for (const each of all) each.disabled = isBusy;
  return el(
    'div',
    { class: 'detail-buttons', attrs: { role: 'group', 'aria-label': 'Actions' } },
    all,
    shown && el('p', { class: 'detail-hint' }, shown.validity),
  );
}
