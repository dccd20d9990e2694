// Asks what to do with a new upload whose name is taken.

import { bdi, el, fill } from './dom.js';
import { formatBytes, formatNumber, formatTime } from './format.js';
import { icon } from './icons.js';
import { mergedSrcset } from './picture.js';

/**
 * @typedef {import('./conflicts.js').Answer} Answer
 * @typedef {import('./conflicts.js').Choice} Choice
 * @typedef {import('./conflicts.js').Conflict<import('./upload-queue.js').UploadItem>} Conflict
 */

export class ConflictDialog extends HTMLElement {
  #dialog = el('dialog', { class: 'dialog conflict', attrs: { 'aria-labelledby': 'conflict-title' } });
  /** Uploads that were added while the dialog is open ask after it. */
  #turn = Promise.resolve(/** @type {Answer | null} */ (null));

  connectedCallback() {
    this.append(this.#dialog);
  }

  /**
   * Ask what to do.
   *
   * @param {Conflict} conflict
   * @param {number} others the number of conflicts that follow.
   * @returns {Promise<Answer>}
   */
  ask(conflict, others) {
    const answer = this.#turn.then(() => this.#show(conflict, others));
    this.#turn = answer;
    return answer;
  }

  /**
   * @param {Conflict} conflict
   * @param {number} others
   * @returns {Promise<Answer>}
   */
  #show({ candidate, picture }, others) {
    const preview = URL.createObjectURL(candidate.file);
    const forAll = el('input', { attrs: { type: 'checkbox' } });
    /** @type {Choice} */
    let choice = 'skip'; // Escape closes the dialog without a choice
    const button = (/** @type {Choice} */ value, /** @type {string} */ label, className = '') => {
      const choose = () => {
        choice = value;
        this.#dialog.close();
      };
      return el('button', { class: `button ${className}`, attrs: { type: 'button' }, on: { click: choose } }, label);
    };
    fill(
      this.#dialog,
      el('h2', { class: 'dialog-title', attrs: { id: 'conflict-title' } }, bdi(candidate.name), ' exists already'),
      el(
        'div',
        { class: 'conflict-sides' },
        other(candidate, picture),
        side('Your file', localThumbnail(preview), [
          formatBytes(candidate.size),
          formatTime(new Date(candidate.file.lastModified)),
        ]),
      ),
      others > 0 &&
        el(
          'label',
          { class: 'check-field' },
          forAll,
          others === 1 ? 'Do the same for the other file' : `Do the same for the ${formatNumber(others)} other files`,
        ),
      el(
        'div',
        { class: 'dialog-buttons' },
        button('skip', 'Skip', 'quiet'),
        button('replace', 'Replace'),
        button('keep-both', 'Keep both', 'primary'),
      ),
    );
    this.#dialog.showModal();
    /** @type {HTMLElement | null} */ (this.#dialog.querySelector('.primary'))?.focus();
    return new Promise((resolve) => {
      const close = () => {
        URL.revokeObjectURL(preview);
        resolve({ choice, forAll: forAll.checked });
      };
      this.#dialog.addEventListener('close', close, { once: true });
    });
  }
}

/**
 * Show what has the name.
 *
 * @param {import('./upload-queue.js').UploadItem} candidate
 * @param {import('./picture.js').Picture | null} picture
 */
function other({ refused }, picture) {
  if (picture) {
    return side('In the stack', thumbnail(picture), [
      picture.sizeBytes === null ? null : formatBytes(picture.sizeBytes),
      picture.uploadedAt && formatTime(picture.uploadedAt),
    ]);
  }
  if (refused.length) return side('In the stack', null, ['This page cannot show it.']);
  return side('Another new file', null, ['It is not uploaded yet.']);
}

/**
 * @param {string} title
 * @param {HTMLElement | null} image
 * @param {(string | null)[]} facts
 */
function side(title, image, facts) {
  return el(
    'figure',
    { class: 'conflict-side' },
    el('div', { class: 'conflict-image' }, image ?? icon('image')),
    el('figcaption', {}, el('strong', {}, title), facts.map((fact) => fact && el('span', { class: 'soft' }, fact))),
  );
}

/** @param {import('./picture.js').Picture} picture */
function thumbnail(picture) {
  if (!picture.src) return null;
  return el('img', { attrs: { src: picture.src, srcset: mergedSrcset(picture), sizes: '176px', alt: '' } });
}

/** @param {string} url */
function localThumbnail(url) {
  const image = el('img', { attrs: { src: url, alt: '' } });
  image.addEventListener('error', () => image.replaceWith(icon('image')));
  return image;
}

customElements.define('conflict-dialog', ConflictDialog);
