// Shows uploads in the gallery before the pipeline knows them, with a local preview if the browser can show the file.

import { makePicture, UPLOADS } from './picture.js';

const LARGEST = 30_000_000; // a preview holds the whole file in memory
const PROGRESS_MILLISECONDS = 200;
const KEPT_MILLISECONDS = 10_000; // the tile may still show the preview when the outcome arrives

/**
 * @typedef {import('./upload-queue.js').UploadItem} UploadItem
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {{ before: Picture | undefined, picture: Picture, isPlanned: boolean }} Shown `before` is the image that the
 *   upload replaces.
 */

export class UploadPreviews {
  /** @type {Map<number, Shown>} */
  #shown = new Map();
  #listing;

  /**
   * @param {object} parts
   * @param {import('./upload-queue.js').UploadQueue} parts.queue
   * @param {import('./listing.js').Listing} parts.listing
   */
  constructor({ queue, listing }) {
    this.#listing = listing;
    queue.addEventListener('change', (event) => {
      const item = /** @type {CustomEvent<UploadItem | null>} */ (event).detail;
      if (item) this.#follow(item);
    });
  }

  /** @param {UploadItem} item */
  #follow(item) {
    const shown = this.#shown.get(item.id);
    if (item.state === 'sending') {
      if (shown) this.#report(item, shown);
      else this.#show(item);
    } else if (shown && item.state === 'sent') {
      this.#await(shown);
    } else if (shown && (item.state === 'done' || item.state === 'failed' || item.state === 'cancelled')) {
      this.#shown.delete(item.id);
      if (item.versionId === null && item.state !== 'done') this.#withdraw(shown);
      if (shown.picture.src) setTimeout(URL.revokeObjectURL, KEPT_MILLISECONDS, shown.picture.src);
    }
  }

  /** @param {UploadItem} item */
  async #show(item) {
    const key = UPLOADS + item.name;
    const before = this.#listing.find(key);
    const picture = makePicture({
      key,
      state: 'UPLOADING',
      uploadedAt: new Date().toISOString(),
      sizeBytes: item.size,
    });
    const shown = { before, picture, isPlanned: false };
    this.#shown.set(item.id, shown);
    Object.assign(picture, await preview(item.file));
    if (item.state === 'sending') this.#listing.upsert({ ...picture, progress: item.sent / item.size });
    else if (item.state === 'sent') this.#await(shown);
    else if (!this.#shown.has(item.id) && picture.src) URL.revokeObjectURL(picture.src);
  }

  /**
   * Show the progress, but not more often than people can see it.
   *
   * @param {UploadItem} item
   * @param {Shown} shown
   */
  #report(item, shown) {
    if (shown.isPlanned) return;
    shown.isPlanned = true;
    setTimeout(() => {
      shown.isPlanned = false;
      if (item.state === 'sending') this.#listing.upsert({ ...shown.picture, progress: item.sent / item.size });
    }, PROGRESS_MILLISECONDS);
  }

  /** @param {Shown} shown */
  #await({ picture }) {
    this.#listing.upsert({ ...picture, state: 'WAITING' });
  }

  /** @param {Shown} shown */
  #withdraw({ before, picture }) {
    if (before) this.#listing.upsert(before);
    else this.#listing.drop(picture.key);
  }
}

/**
 * Return a URL of the file and its size in pixels; nothing if the browser cannot show it.
 *
 * @param {File} file
 * @returns {Promise<{ src: string, width: number, height: number } | {}>}
 */
function preview(file) {
  if (file.size > LARGEST || !file.type.startsWith('image/')) return Promise.resolve({});
  const src = URL.createObjectURL(file);
  const image = new Image();
  return new Promise((resolve) => {
    image.onload = () => resolve({ src, width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => {
      URL.revokeObjectURL(src);
      resolve({});
    };
    image.src = src;
  });
}
