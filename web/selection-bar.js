// The bar with the actions for all selected pictures.

import { button } from './buttons.js';
import { el } from './dom.js';
import { formatBytes, formatNumber } from './format.js';
import { icon } from './icons.js';

export class SelectionBar extends HTMLElement {
  #selection;
  #listing;
  #session;
  #actions;
  #focusOn;
  #count = el('strong');
  #size = el('span', { class: 'soft' });
  #reprocess = button('Reprocess', 'reprocess', () => this.#actions.reprocess(this.#keys(isPresent)));
  #delete = button('Delete', 'trash', () => this.#actions.remove(this.#keys(isPresent)), 'danger');
  #restore = button('Restore', 'restore', () => this.#actions.restore(this.#keys(isDeleted)));
  #clear = el(
    'button',
    {
      class: 'icon-button',
      attrs: { type: 'button', 'aria-label': 'Clear selection', title: 'Clear selection (Esc)' },
      on: { click: () => this.#clearAll() },
    },
    icon('close'),
  );

  /**
   * @param {object} parts
   * @param {import('./selection.js').Selection} parts.selection
   * @param {import('./listing.js').Listing} parts.listing
   * @param {import('./session.js').Session} parts.session
   * @param {import('./actions.js').Actions} parts.actions
   * @param {(key: string) => void} parts.focusOn moves the focus to a picture.
   */
  constructor({ selection, listing, session, actions, focusOn }) {
    super();
    this.#selection = selection;
    this.#listing = listing;
    this.#session = session;
    this.#actions = actions;
    this.#focusOn = focusOn;
  }

  connectedCallback() {
    this.hidden = true;
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Selection');
    this.append(
      this.#clear,
      el('p', { class: 'selection-text', attrs: { role: 'status' } }, this.#count, this.#size),
      el('div', { class: 'selection-actions' }, this.#reprocess, this.#restore, this.#delete),
    );
    addEventListener('keydown', (event) => {
      const { activeElement } = document; // the body after a button was disabled
      const isHere = activeElement === document.body || this.contains(activeElement);
      if (event.key === 'Escape' && !event.defaultPrevented && isHere) this.#clearAll();
    });
    const draw = () => this.#draw();
    this.#selection.addEventListener('change', draw);
    this.#listing.addEventListener('change', () => this.hidden || this.#draw());
    this.#session.addEventListener('change', draw);
    this.#actions.addEventListener('change', draw);
    draw(); // a picture may be selected before this bar is loaded
  }

  /** Clear the selection. The bar disappears, so the focus goes to the picture that was selected last. */
  #clearAll() {
    const last = [...this.#selection.keys].at(-1);
    this.#selection.clear();
    if (last !== undefined) this.#focusOn(last);
  }

  #draw() {
    const { size } = this.#selection;
    this.hidden = size === 0;
    if (this.hidden) return;
    const bytes = this.#keys(() => true).reduce((sum, key) => sum + (this.#listing.find(key)?.sizeBytes ?? 0), 0);
    this.#count.textContent = `${formatNumber(size)} selected`;
    this.#size.textContent = bytes ? formatBytes(bytes) : '';
    const canChange = this.#session.can('delete');
    const hasPresent = this.#keys(isPresent).length > 0;
    this.#reprocess.hidden = !canChange || !hasPresent;
    this.#delete.hidden = !canChange || !hasPresent;
    this.#restore.hidden = !canChange || this.#keys(isDeleted).length === 0;
    const isBusy = this.#keys(() => true).some((key) => this.#actions.busy.has(key));
    for (const button of [this.#reprocess, this.#delete, this.#restore]) button.disabled = isBusy;
  }

  /** @param {(picture: import('./picture.js').Picture | undefined) => boolean} condition */
  #keys(condition) {
    return [...this.#selection.keys].filter((key) => condition(this.#listing.find(key)));
  }
}

/** @param {import('./picture.js').Picture | undefined} picture */
function isPresent(picture) {
  return picture?.state !== 'DELETED';
}

/** @param {import('./picture.js').Picture | undefined} picture */
function isDeleted(picture) {
  return picture?.state === 'DELETED';
}

customElements.define('selection-bar', SelectionBar);
