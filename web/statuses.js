// Follows uploads until their outcomes are known. One request asks about all of them.

import { ApiError, wait } from './api.js';
import { fromRecord, makePicture } from './picture.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 *
 * @typedef {object} Wish what ends the waiting: the outcome of this upload, this execution, or the deletion.
 * @property {string | null} [versionId]
 * @property {string} [executionId]
 * @property {boolean} [deleted]
 *
 * @typedef {Wish & { since: number, asked: number }} Watch
 */

const SOON = 50;
const FASTEST = 500;
const SLOWEST = 5000;
const HIDDEN = 15_000;
const SLOWER = 1.3;
const MOST_KEYS = 100;

// An upload that has not appeared after this time may have been replaced: the API is asked about its version.
const DOUBTFUL = 10_000;

// An execution or deletion that has not appeared after this time was overtaken by another one.
const OVERTAKEN = 60_000;

/** Emits `outcome` with `detail: Picture` when an upload has its outcome. */
export class Statuses extends EventTarget {
  /** @type {Map<string, Watch>} */
  #watched = new Map();

  /** @type {Set<string>} Keys to read once, whatever their state. */
  #stale = new Set();

  #delay = FASTEST;
  #running = false;
  #most = MOST_KEYS;
  #wake = () => {};
  #api;
  #session;
  #listing;

  /**
   * @param {object} options
   * @param {import('./api.js').Api} options.api
   * @param {import('./session.js').Session} options.session
   * @param {import('./listing.js').Listing} options.listing
   */
  constructor({ api, session, listing }) {
    super();
    this.#api = api;
    this.#session = session;
    this.#listing = listing;
    document.addEventListener('visibilitychange', () => this.hurry());
    session.addEventListener('change', () => session.state === 'signed-in' && this.hurry());
    api.addEventListener('reachable', () => api.reachable && this.hurry());
    listing.addEventListener('change', () => this.#watchListed());
    this.#watchListed();
  }

  /**
   * Follow an upload until its outcome.
   *
   * @param {string} key
   * @param {Wish} [wish]
   */
  watch(key, wish = {}) {
    this.#watched.set(key, { ...wish, since: Date.now(), asked: 0 });
    this.hurry();
  }

  /**
   * Read an upload again, because its URLs expired or its entry may be old.
   *
   * @param {string} key
   */
  renew(key) {
    if (this.#watched.has(key)) return;
    this.#stale.add(key);
    this.hurry();
  }

  /** Follow what the list shows as processing: uploads of other people, or from before a reload. */
  #watchListed() {
    for (const { key, state } of this.#listing.pictures) {
      if (state === 'PROCESSING' && !this.#watched.has(key)) this.watch(key);
    }
  }

  /** @param {string} key */
  forget(key) {
    this.#watched.delete(key);
    this.#stale.delete(key);
  }

  /** Forget all uploads. */
  clear() {
    this.#watched.clear();
    this.#stale.clear();
  }

  /** Ask soon, for example because the API can be reached again. */
  hurry() {
    this.#delay = FASTEST;
    this.#wake();
    if (!this.#running) this.#run();
  }

  async #run() {
    this.#running = true;
    try {
      await wait(SOON); // calls in a row become one request
      while (this.#watched.size + this.#stale.size > 0) await this.#rest(await this.#ask());
    } finally {
      this.#running = false;
    }
  }

  /**
   * Wait until the next request, or until somebody is in a hurry.
   *
   * @param {number | null} seconds how long the API wants to be left alone, in any case; null to wait for the hurry.
   */
  #rest(seconds) {
    const longest = document.hidden ? HIDDEN : this.#delay;
    this.#delay = Math.min(SLOWEST, this.#delay * SLOWER);
    return new Promise((resolve) => {
      const timer = seconds === null ? undefined : setTimeout(resolve, Math.max(longest, seconds * 1000));
      this.#wake = () => {
        clearTimeout(timer);
        setTimeout(resolve, Math.max(SOON, (seconds ?? 0) * 1000));
      };
    });
  }

  /**
   * Send one request.
   *
   * @returns {Promise<number | null>} how many seconds the API wants to be left alone; null until somebody signs in.
   */
  async #ask() {
    const keys = this.#next();
    try {
      const { statuses, missing } = await this.#api.statuses(keys);
      for (const record of statuses) await this.#hear(record.imageKey, record);
      for (const key of missing) await this.#hear(key, null);
      this.#most = MOST_KEYS;
      return 0;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.#session.state === 'expired') return null;
      if (error.status === 413) this.#most = Math.max(1, this.#most >> 1);
      else if (error.kind === 'forbidden' || error.status === 400) keys.forEach((key) => this.forget(key));
      return error.retryAfter ?? 0;
    }
  }

  /** Return the keys to ask about: those that have waited longest. */
  #next() {
    const watched = [...this.#watched].sort(([, a], [, b]) => a.asked - b.asked).map(([key]) => key);
    const keys = [...this.#stale, ...watched].slice(0, this.#most);
    for (const key of keys) {
      const watch = this.#watched.get(key);
      if (watch) watch.asked = Date.now();
    }
    return keys;
  }

  /**
   * @param {string} key
   * @param {any} record null if the API knows no such upload.
   */
  async #hear(key, record) {
    const watch = this.#watched.get(key);
    if (!watch) {
      if (!this.#stale.delete(key)) return;
      if (record) this.#listing.upsert(fromRecord(record));
      else this.#listing.drop(key);
      return;
    }
    const age = Date.now() - watch.since;
    let current = record;
    let ended = record !== null && isEnd(record, watch, age);
    if (!ended && watch.versionId && !isAbout(record, watch) && age > DOUBTFUL) {
      const answer = await this.#api.status(key, { versionId: watch.versionId });
      current = answer.record;
      ended = !answer.pending;
    }
    if (this.#watched.get(key) !== watch) return; // another upload of this name has started meanwhile
    if (ended) this.#end(key, current);
    else this.#report(key, current, watch);
  }

  /**
   * @param {string} key
   * @param {any} record
   */
  #end(key, record) {
    this.#watched.delete(key);
    this.#delay = FASTEST;
    const picture = record ? fromRecord(record) : makePicture({ key, state: 'DELETED' });
    this.#listing.upsert(picture);
    if (picture.state === 'PROCESSING') this.watch(key); // a newer upload
    else this.dispatchEvent(new CustomEvent('outcome', { detail: picture }));
  }

  /**
   * Show how far the upload is. Until its record is about it, it waits.
   *
   * @param {string} key
   * @param {any} record
   * @param {Watch} watch
   */
  #report(key, record, watch) {
    const known = this.#listing.find(key);
    if (watch.deleted) return;
    if (record && isAbout(record, watch) && record.status === 'PROCESSING') {
      const picture = fromRecord(record);
      this.#listing.upsert(known ? { ...picture, ...appearance(known, picture) } : picture);
    } else if (known?.state !== 'WAITING') {
      this.#listing.upsert({ ...(known ?? makePicture({ key })), state: 'WAITING', progress: null, error: null });
    }
  }
}

/**
 * Keep what the gallery shows already: the local preview of an upload, and its place.
 *
 * @param {Picture} known
 * @param {Picture} picture
 */
function appearance(known, picture) {
  const isLocal = known.src?.startsWith('blob:') ?? false;
  const { src, srcsets, urlExpiresAt } = isLocal ? known : picture;
  const { width, height, thumbhash } = isLocal || picture.width === null ? known : picture;
  return { src, srcsets, urlExpiresAt, width, height, thumbhash, uploadedAt: known.uploadedAt ?? picture.uploadedAt };
}

/**
 * Return whether the record is about the upload or execution that somebody waits for.
 *
 * @param {any} record
 * @param {Watch} watch
 */
function isAbout(record, { versionId, executionId }) {
  if (!record) return false;
  if (versionId) return record.upload?.versionId === versionId;
  if (executionId) return record.execution?.id === executionId || record.lastFailure?.executionId === executionId;
  return true;
}

/**
 * @param {any} record
 * @param {Watch} watch
 * @param {number} age in milliseconds.
 */
function isEnd(record, watch, age) {
  if (record.status === 'PROCESSING') return false;
  if (!watch.versionId && age > OVERTAKEN) return true;
  return watch.deleted ? record.status === 'DELETED' : isAbout(record, watch);
}
