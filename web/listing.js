// The pictures that the gallery shows, newest first: pages of the list, and what uploads and statuses report meanwhile.

import { fromListing, isPending } from './picture.js';
import { matches, toParameters } from './query.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./query.js').Filters} Filters
 */

// A short first page shows pictures soon; the gallery asks for the next one as soon as the page is complete.
const FIRST = 24;
const PAGE = 100;
const MOST_REFRESHED = 10; // pages

// The list follows the records within about two seconds. Until then, a status is newer than an entry of the list.
const LIST_DELAY = 5000;

/**
 * Emits `change` when the pictures change, with `detail: { key, moved }`: which one, or null for many; and whether any
 * picture appeared, disappeared or changed its place or shape. Emits `state` when `loading`, `ready`, `complete` or
 * `error` changes.
 */
export class Listing extends EventTarget {
  /** @type {Filters} */
  filters = {};

  /** Whether a page is being read. */
  loading = false;

  /** Whether the first page has arrived. */
  ready = false;

  /** Whether all pages have been read. */
  complete = false;

  /** @type {Error | null} Why the last page could not be read. */
  error = null;

  /** @type {string | null} */
  #cursor = null;

  /** @type {Map<string, Picture>} */
  #shown = new Map();

  /** @type {Map<string, Picture>} Pictures that the filters exclude, or that are older than the pages so far. */
  #aside = new Map();

  /** The time of the last entry so far. Older pictures belong to pages that have not been read yet. */
  #oldest = Infinity;

  /** @type {Map<string, number>} When a status or an upload changed a picture. */
  #touched = new Map();

  /** @type {Picture[] | null} */
  #sorted = null;

  #request = new AbortController();
  #api;

  /** @param {{ api: import('./api.js').Api }} options */
  constructor({ api }) {
    super();
    this.#api = api;
  }

  /** Newest first. */
  get pictures() {
    this.#sorted ??= [...this.#shown.values()].sort(newestFirst);
    return this.#sorted;
  }

  /** @param {string} key */
  find(key) {
    return this.#shown.get(key) ?? this.#aside.get(key);
  }

  /**
   * Show what other filters select: at once the pictures that are known, then those in the answer. If none is known, the
   * present pictures stay until the answer arrives.
   *
   * @param {Filters} filters
   */
  async show(filters) {
    this.filters = filters;
    this.#showKnown();
    await this.reload();
  }

  #showKnown() {
    const known = [...this.#shown.values(), ...this.#aside.values()];
    const fits = (/** @type {Picture} */ picture) => matches(picture, this.filters);
    if (!known.some(fits)) return;
    this.#shown = new Map(known.filter(fits).map((picture) => [picture.key, picture]));
    this.#aside = new Map(known.filter((picture) => !fits(picture)).map((picture) => [picture.key, picture]));
    this.#changed();
  }

  /** Read the first page again, and forget the others. */
  async reload() {
    this.#request.abort();
    this.#request = new AbortController();
    this.ready = false;
    this.complete = false;
    await this.#load(null);
  }

  /** Read again what could not be read. */
  async retry() {
    if (this.ready) await this.loadMore();
    else await this.reload();
  }

  /** Read the next page, if there is one. */
  async loadMore() {
    if (!this.ready || this.loading || this.complete) return;
    await this.#load(this.#cursor);
  }

  /** Read the newest pictures again, and keep the others: somebody else may have changed something. */
  async refresh() {
    if (!this.ready || this.loading) return;
    const { signal } = this.#request;
    const newest = await this.#readNewest(signal).catch(() => null);
    if (!newest || signal.aborted) return;
    const { pictures, isAll } = newest;
    const last = pictures.at(-1);
    const oldest = isAll || !last ? -Infinity : timeOf(last);
    const listed = new Set(pictures.map(({ key }) => key));
    for (const picture of this.pictures) {
      if (timeOf(picture) <= oldest) break;
      if (!listed.has(picture.key) && !this.#isFresh(picture)) this.#remove(picture.key);
    }
    for (const picture of pictures) this.#take(picture);
    this.#changed();
  }

  /**
   * Read pages until one contains something known.
   *
   * @param {AbortSignal} signal
   */
  async #readNewest(signal) {
    /** @type {Picture[]} */
    const pictures = [];
    /** @type {string | null} */
    let cursor = null;
    for (let count = 0; count < MOST_REFRESHED; count += 1) {
      const page = /** @type {{ images: any[], cursor: string | null }} */ (
        await this.#api.list(toParameters(this.filters), { cursor, limit: this.#limit(cursor), signal })
      );
      pictures.push(...page.images.map(fromListing));
      cursor = page.cursor;
      if (cursor === null || page.images.some(({ imageKey }) => this.#shown.has(imageKey))) break;
    }
    return { pictures, isAll: cursor === null };
  }

  /**
   * Add or replace a picture.
   *
   * @param {Picture} picture
   */
  upsert(picture) {
    this.#touched.set(picture.key, Date.now());
    const moved = this.#put(picture);
    this.#changed(picture.key, moved);
  }

  /**
   * Forget a picture.
   *
   * @param {string} key
   */
  drop(key) {
    this.#remove(key);
    this.#changed();
  }

  /** Forget everything. */
  clear() {
    this.#request.abort();
    this.#shown.clear();
    this.#aside.clear();
    this.#touched.clear();
    this.ready = false;
    this.complete = false;
    this.error = null;
    this.#changed();
  }

  /** @param {string | null} cursor */
  async #load(cursor) {
    const { signal } = this.#request;
    this.loading = true;
    this.error = null;
    this.#stateChanged();
    try {
      const page = await this.#api.list(toParameters(this.filters), { cursor, limit: this.#limit(cursor), signal });
      if (signal.aborted) return;
      if (!this.ready) this.#startOver();
      this.ready = true;
      this.#cursor = page.cursor;
      this.complete = page.cursor === null;
      const pictures = page.images.map(fromListing);
      const last = pictures.at(-1);
      if (last) this.#oldest = timeOf(last);
      for (const picture of pictures) this.#take(picture);
      this.#changed();
    } catch (error) {
      if (signal.aborted) return;
      this.error = /** @type {Error} */ (error);
    }
    this.loading = false;
    this.#stateChanged();
  }

  /**
   * Return how many pictures to ask for. The API reads one view and leaves out what other filters exclude, so a short
   * page with several filters would often be empty.
   *
   * @param {string | null} cursor
   */
  #limit(cursor) {
    const { status, label, prefix } = this.filters;
    return cursor === null && [status, label, prefix].filter(Boolean).length < 2 ? FIRST : PAGE;
  }

  /** Keep only what does not come from the list: pictures that are uploading, and those that a status just changed. */
  #startOver() {
    this.#oldest = Infinity;
    for (const picture of [...this.#shown.values(), ...this.#aside.values()]) {
      this.#remove(picture.key);
      if (this.#isFresh(picture)) this.#put(picture);
    }
  }

  /**
   * Take an entry of the list, unless something newer is known.
   *
   * @param {Picture} picture
   */
  #take(picture) {
    const known = this.find(picture.key);
    this.#put(known && this.#isFresh(known) ? known : picture);
  }

  /** @param {Picture} picture */
  #isFresh({ key, state }) {
    return state === 'UPLOADING' || state === 'WAITING' || Date.now() - (this.#touched.get(key) ?? 0) < LIST_DELAY;
  }

  /**
   * Store a picture.
   *
   * @param {Picture} given
   * @returns {boolean} whether the gallery has to arrange its pictures again.
   */
  #put(given) {
    const picture = given.uploadedAt === null ? { ...given, uploadedAt: new Date().toISOString() } : given;
    const before = this.#shown.get(picture.key);
    const isRead = this.complete || isPending(picture) || timeOf(picture) >= this.#oldest;
    if (!isRead || !matches(picture, this.filters)) {
      this.#remove(picture.key);
      this.#aside.set(picture.key, picture);
      return before !== undefined;
    }
    this.#aside.delete(picture.key);
    this.#shown.set(picture.key, picture);
    return !before || !isSameShape(before, picture);
  }

  /** @param {string} key */
  #remove(key) {
    this.#shown.delete(key);
    this.#aside.delete(key);
  }

  /** @param {string | null} key */
  #changed(key = null, moved = true) {
    this.#sorted = null;
    this.dispatchEvent(new CustomEvent('change', { detail: { key, moved } }));
  }

  #stateChanged() {
    this.dispatchEvent(new Event('state'));
  }
}

/**
 * @param {Picture} a
 * @param {Picture} b
 */
function newestFirst(a, b) {
  return timeOf(b) - timeOf(a) || (a.key < b.key ? -1 : 1);
}

/**
 * @param {Picture} a
 * @param {Picture} b
 */
function isSameShape(a, b) {
  return timeOf(a) === timeOf(b) && a.width === b.width && a.height === b.height && a.state === b.state;
}

/** @type {WeakMap<Picture, number>} Ten thousand pictures are compared often. */
const times = new WeakMap();

/** @param {Picture} picture */
function timeOf(picture) {
  let time = times.get(picture);
  if (time === undefined) {
    time = picture.uploadedAt === null ? 0 : Date.parse(picture.uploadedAt);
    times.set(picture, time);
  }
  return time;
}
