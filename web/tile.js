// One picture of the gallery. It shows its name and state only on hover or focus, or when something is wrong.

import { bdi, el, fill } from './dom.js';
import { formatPercent, printable } from './format.js';
import { icon } from './icons.js';
import { hasTransparency, isPending, mergedSrcset, remedyFor, STATE_NAMES } from './picture.js';
import { drawThumbhash } from './thumbhash.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./layout.js').Box} Box
 *
 * @typedef {object} TileView what a tile shows beside its picture.
 * @property {string} href
 * @property {boolean} selected
 * @property {boolean} opened whether the detail view shows it.
 * @property {boolean} selectable
 * @property {boolean} reachable whether Tab reaches this tile.
 * @property {boolean} canUpload
 * @property {boolean} canChange
 * @property {number} position from 1.
 * @property {number} count
 */

/**
 * Emits `picture-action` with `detail: { action, key }` when a button on it is used, `tile-select` with
 * `detail: { key, extend }` for its check mark, and `tile-renew` when its URL has expired.
 */
export class ImageTile extends HTMLElement {
  /** The version of the gallery that it shows. */
  version = -1;

  /** Whether the picture may load: not while somebody scrolls fast. */
  loads = false;

  /** @type {Picture | null} */
  #picture = null;

  /** @type {string} What the inner elements were built for. */
  #built = '';

  /** @type {string} Which thumbhash is on the canvas. */
  #drawn = '';

  /** @type {Picture | null} The picture whose URLs the image has. */
  #loading = null;

  #failed = false;
  #hash = el('canvas', { class: 'tile-hash', attrs: { 'aria-hidden': 'true', width: 1, height: 1 } });
  #image = this.#makeImage();
  #link = el('a', { class: 'tile-link' });
  #check = el(
    'button',
    { class: 'tile-check', attrs: { type: 'button', role: 'checkbox', tabindex: -1 }, on: { click: (event) => this.#select(event) } },
    icon('check'),
  );
  #meter = el('progress', { class: 'progress tile-progress', attrs: { max: 1 } });
  #stateText = el('span', { class: 'tile-state' });

  /** The element that takes the focus. */
  get target() {
    return this.#link;
  }

  /**
   * @param {Picture} picture
   * @param {Box} box
   * @param {TileView} view
   */
  show(picture, box, view) {
    const isNew = picture !== this.#picture;
    this.#picture = picture;
    this.style.transform = `translate(${box.left}px, ${box.top}px)`;
    this.style.width = `${box.width}px`;
    this.style.height = `${box.height}px`;
    this.#build(picture, view);
    this.#showView(picture, view);
    if (isNew) this.#showState(picture);
    this.#drawHash(picture);
    if (this.loads) this.#load(picture, box, isNew);
  }

  /** Stop loading: the tile leaves the page. */
  release() {
    this.#image.removeAttribute('srcset');
    this.#image.removeAttribute('src');
    this.#loading = null;
  }

  /**
   * @param {Picture} picture
   * @param {TileView} view
   */
  #showView(picture, { href, selected, opened, reachable, position, count }) {
    this.dataset.key = picture.key;
    this.dataset.state = picture.state;
    this.classList.toggle('selected', selected);
    this.classList.toggle('opened', opened);
    this.setAttribute('role', 'listitem');
    this.setAttribute('aria-setsize', String(count));
    this.setAttribute('aria-posinset', String(position));
    this.#link.href = href;
    this.#link.tabIndex = reachable ? 0 : -1;
    this.#link.setAttribute('aria-label', description(picture, selected));
    if (opened) this.#link.setAttribute('aria-current', 'true');
    else this.#link.removeAttribute('aria-current');
    this.#check.setAttribute('aria-checked', String(selected));
    for (const button of this.querySelectorAll('.tile-buttons button')) {
      /** @type {HTMLElement} */ (button).tabIndex = reachable ? 0 : -1;
    }
  }

  /**
   * Build the inner elements, unless they already fit.
   *
   * @param {Picture} picture
   * @param {TileView} view
   */
  #build(picture, { canUpload, canChange, selectable }) {
    const failure = picture.error ?? picture.lastFailure;
    const built = [kindOf(picture), picture.key, failure?.code, failure?.message, canUpload, canChange, selectable].join('|');
    if (built === this.#built) return;
    const hadFocus = this.contains(document.activeElement);
    this.#built = built;
    this.#check.setAttribute('aria-label', `Select ${printable(picture.name)}`);
    const check = selectable && this.#check;
    if (picture.state === 'FAILED') {
      fill(this.#link, failureText(picture));
      fill(this, this.#link, check, this.#buttons(picture, canUpload, canChange));
    } else if (picture.state === 'DELETED') {
      fill(this.#link, this.#hash, el('span', { class: 'tile-caption shown' }, nameAndFolder(picture), this.#stateText));
      fill(this, this.#link, check, canChange && this.#actions(this.#button('restore', 'Restore', 'restore')));
    } else if (isPending(picture)) {
      fill(this.#link, this.#hash, this.#image, el('span', { class: 'tile-pending' }, bdi(picture.fileName), this.#stateText, this.#meter));
      fill(this, this.#link);
    } else {
      const badge = failure ?? (picture.state === 'PARTIAL' ? { message: 'The labels could not be obtained.' } : null);
      fill(
        this.#link,
        this.#hash,
        this.#image,
        badge && el('span', { class: 'tile-badge' }, icon('alert')),
        el('span', { class: 'tile-caption' }, nameAndFolder(picture), badge && el('span', { class: 'tile-state' }, badge.message)),
      );
      fill(this, this.#link, check);
    }
    if (hadFocus && !this.contains(document.activeElement)) this.#link.focus({ preventScroll: true });
  }

  /** @param {Picture} picture */
  #showState(picture) {
    const { state, progress, step } = picture;
    const sent = state === 'UPLOADING' && progress !== null ? ` ${formatPercent(progress)}` : '';
    this.#stateText.textContent = step ?? `${STATE_NAMES[state]}${sent}`;
    if (state === 'UPLOADING' && progress !== null) this.#meter.value = progress;
    else this.#meter.removeAttribute('value');
    this.#meter.setAttribute('aria-label', STATE_NAMES[state]);
    this.classList.toggle('transparent', hasTransparency(picture));
  }

  /** @param {Picture} picture */
  #drawHash({ thumbhash }) {
    if (thumbhash === this.#drawn || (thumbhash === null && !this.#drawn)) return;
    this.#drawn = thumbhash ?? '';
    this.#hash.hidden = thumbhash === null || !drawThumbhash(this.#hash, thumbhash);
  }

  #makeImage() {
    return el('img', {
      class: 'tile-picture',
      attrs: { alt: '', decoding: 'async', draggable: 'false' },
      on: { load: () => this.#loaded(), error: () => this.#broken() },
    });
  }

  /**
   * Load the picture, unless the image already shows it: new URLs of the same file must not make it flicker.
   *
   * @param {Picture} picture
   * @param {Box} box
   * @param {boolean} isNew
   */
  #load(picture, box, isNew) {
    if (picture.src === null || picture.state === 'FAILED') return;
    const isSame = this.#loading !== null && fileOf(this.#loading) === fileOf(picture);
    const isLarger = box.width > 1.25 * (Number.parseFloat(this.#image.sizes) || Infinity);
    if (isSame && !isLarger && !(this.#failed && isNew)) return;
    if (!isSame && this.#loading === null) this.#image.classList.remove('loaded');
    this.#loading = picture;
    this.#failed = false;
    this.#image.sizes = `${box.width}px`;
    const srcset = mergedSrcset(picture);
    if (srcset) this.#image.srcset = srcset;
    else this.#image.removeAttribute('srcset');
    this.#image.src = picture.src;
  }

  #loaded() {
    this.#image.classList.add('loaded');
    this.classList.remove('broken');
  }

  #broken() {
    if (!this.#image.hasAttribute('src')) return;
    const isExpired = this.#loading?.urlExpiresAt !== null && !this.classList.contains('broken');
    this.#failed = true;
    this.#image.classList.remove('loaded');
    this.classList.add('broken');
    if (isExpired) this.#emit('tile-renew', { key: this.#picture?.key });
  }

  /** @param {MouseEvent} event */
  #select(event) {
    this.#emit('tile-select', { key: this.#picture?.key, extend: event.shiftKey });
  }

  /**
   * Make the button that helps.
   *
   * @param {Picture} picture
   * @param {boolean} canUpload
   * @param {boolean} canChange
   */
  #buttons({ error }, canUpload, canChange) {
    const remedy = remedyFor(error);
    if (remedy === 'replace' && canUpload) return this.#actions(this.#button('replace', 'Replace file', 'replace'));
    if (remedy === 'reprocess' && canChange) return this.#actions(this.#button('reprocess', 'Reprocess', 'reprocess'));
    return null;
  }

  /** @param {...Node} buttons */
  #actions(...buttons) {
    return el('div', { class: 'tile-buttons' }, buttons);
  }

  /**
   * @param {string} action
   * @param {string} text
   * @param {import('./icons.js').IconName} picture
   */
  #button(action, text, picture) {
    const click = () => this.#emit('picture-action', { action, key: this.#picture?.key });
    return el('button', { class: 'button small', attrs: { type: 'button' }, on: { click } }, icon(picture), text);
  }

  /**
   * @param {string} type
   * @param {object} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { bubbles: true, detail }));
  }
}

customElements.define('image-tile', ImageTile);

/** @param {Picture} picture */
function kindOf(picture) {
  return isPending(picture) ? 'PENDING' : picture.state;
}

/** @param {Picture} picture */
function nameAndFolder({ fileName, folder }) {
  return [bdi(fileName), folder && bdi(folder, { class: 'tile-folder' })];
}

/** @param {Picture} picture */
function failureText(picture) {
  const { error } = picture;
  return el(
    'span',
    { class: 'tile-failure' },
    el('span', { class: 'tile-failure-name' }, icon('alert'), el('span', {}, nameAndFolder(picture))),
    el('span', { class: 'tile-failure-text' }, el('span', {}, error?.message ?? 'The image has no renditions.'), ' ', el('span', { class: 'tile-hint' }, error?.hint)),
  );
}

/**
 * Describe a picture for a screen reader.
 *
 * @param {Picture} picture
 * @param {boolean} selected
 */
function description({ name, state, error, lastFailure, step }, selected) {
  const failure = error ?? lastFailure;
  const text = failure ? `${failure.message} ${failure.hint}` : (step ?? '');
  const isPlain = state === 'COMPLETED' && !lastFailure;
  const facts = [printable(name), selected && 'selected', !isPlain && STATE_NAMES[state].toLowerCase()].filter(Boolean).join(', ');
  return isPlain ? facts : `${facts}. ${text}`.trim();
}

/**
 * Name the file behind the URLs of a picture. A signature changes, the file does not.
 *
 * @param {Picture} picture
 */
function fileOf({ src, srcsets }) {
  return `${src?.split('?')[0]} ${Object.keys(srcsets).join()}`;
}
