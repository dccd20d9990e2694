// Asks before a visitor signs out while files are being uploaded: signing out cancels the uploads of all tabs.

import { el } from './dom.js';

export class LeaveDialog extends HTMLElement {
  #lock;
  #queue;
  #session;

  /** Ends the lock of this tab. @type {(() => void) | null} */
  #release = null;

  #dialog = el(
    'dialog',
    { class: 'dialog', attrs: { 'aria-labelledby': 'leave-title', 'aria-describedby': 'leave-text' } },
    el('h2', { class: 'dialog-title', attrs: { id: 'leave-title' } }, 'Sign out while files are uploading?'),
    el('p', { attrs: { id: 'leave-text' } }, 'Files that are not uploaded yet will be cancelled, in all tabs.'),
    el(
      'div',
      { class: 'dialog-buttons' },
      el('button', { class: 'button danger', attrs: { type: 'button' }, on: { click: () => this.#leave() } }, 'Sign out'),
      el('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: () => this.#dialog.close() } }, 'Keep uploading'),
    ),
  );

  /**
   * @param {object} parts
   * @param {string} parts.stack
   * @param {import('./upload-queue.js').UploadQueue} parts.queue
   * @param {import('./session.js').Session} parts.session
   */
  constructor({ stack, queue, session }) {
    super();
    this.#lock = `image-pipeline:${stack}:uploads`;
    this.#queue = queue;
    this.#session = session;
  }

  connectedCallback() {
    this.append(this.#dialog);
    this.#queue.addEventListener('change', () => this.#follow());
    this.#session.addEventListener('leave', (event) => {
      event.preventDefault();
      void this.#ask();
    });
    this.#session.addEventListener('change', () => this.#session.state === 'signed-out' && this.#dialog.close());
  }

  /** Hold a lock while files are not sent, so that other tabs know. */
  #follow() {
    const { hasUnsent } = this.#queue;
    if (hasUnsent === (this.#release !== null)) return;
    if (hasUnsent) {
      const sent = new Promise((resolve) => (this.#release = () => resolve(null)));
      void navigator.locks?.request(this.#lock, { mode: 'shared' }, () => sent);
    } else {
      this.#release?.();
      this.#release = null;
    }
  }

  async #ask() {
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const isUploading = this.#queue.hasUnsent || held.some(({ name }) => name === this.#lock);
    if (!isUploading) return this.#session.leave();
    this.#dialog.showModal();
    /** @type {HTMLElement | null} */ (this.#dialog.querySelector('.primary'))?.focus();
  }

  #leave() {
    this.#dialog.close();
    this.#session.leave();
  }
}

customElements.define('leave-dialog', LeaveDialog);
