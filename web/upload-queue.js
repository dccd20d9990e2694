// The queue of uploads. It checks names, sends four files at a time straight to the bucket, and follows each to its
// outcome. It knows nothing of the DOM.

import { ApiError, wait } from './api.js';
import { settleNames } from './conflicts.js';
import { formatBytes } from './format.js';
import { fromRecord, UPLOADS } from './picture.js';
import { remedyFor } from './remedy.js';
import { SpeedMeter } from './speed.js';
import { transfer, TransferError } from './transfer.js';
import { nameProblem, usableName } from './upload-names.js';

const PARALLEL = 4;
const ATTEMPTS = 6;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {'asking' | 'queued' | 'sending' | 'sent' | 'done' | 'failed' | 'cancelled'} UploadState
 *   `asking`: the API checks the name, or signs; `sent`: the pipeline works on it.
 * @typedef {'retry' | 'rename' | 'replace' | 'reprocess'} Remedy what helps when an upload has failed.
 *
 * @typedef {object} UploadItem
 * @property {number} id
 * @property {File} file
 * @property {string} name the key without `uploads/`.
 * @property {number} size bytes
 * @property {number} sent bytes
 * @property {UploadState} state
 * @property {{ message: string, hint: string } | null} error
 * @property {Remedy | null} remedy
 * @property {boolean} replaces whether it may replace an upload without asking.
 * @property {boolean} skipped whether it was cancelled because its name is taken.
 * @property {number} attempts failed attempts to send it.
 * @property {number} notBefore when the next attempt starts, in milliseconds of `performance.now()`.
 * @property {string | null} versionId
 * @property {SpeedMeter} meter
 *
 * @typedef {object} Totals
 * @property {number} count files that are not cancelled.
 * @property {number} sent files that the bucket has.
 * @property {number} finished files with an outcome.
 * @property {number} failed
 * @property {number} unsent files that are lost if the page closes.
 * @property {number} bytes of all files that are sent or will be.
 * @property {number} sentBytes
 * @property {number | null} speed bytes per second.
 * @property {number | null} secondsLeft
 */

/** Emits `change` with `detail: UploadItem | null` for each change of an item or of the whole queue. */
export class UploadQueue extends EventTarget {
  /** @type {UploadItem[]} */
  items = [];

  /** Why nothing is sent now. @type {'offline' | 'signed-out' | null} */
  paused = null;

  #api;
  #session;
  #statuses;
  #ask;
  #nextId = 1;
  #meter = new SpeedMeter();
  #meteredBytes = 0;
  #pauseDelay = FIRST_DELAY;
  /** How many files may be sent at a time: one after the connection broke, until it works again. */
  #parallel = PARALLEL;
  /** @type {Map<number, AbortController>} */
  #running = new Map();
  /** @type {(() => void)[]} */
  #waiting = [];

  /**
   * @param {object} parts
   * @param {import('./api.js').Api} parts.api
   * @param {import('./session.js').Session} parts.session
   * @param {{ watch(key: string, version: { versionId: string | null }): void } & EventTarget} parts.statuses
   * @param {(conflict: import('./conflicts.js').Conflict<UploadItem>, others: number) =>
   *   Promise<import('./conflicts.js').Answer>} parts.ask what to do with a name that is taken.
   */
  constructor({ api, session, statuses, ask }) {
    super();
    this.#api = api;
    this.#session = session;
    this.#statuses = statuses;
    this.#ask = ask;
    statuses.addEventListener('outcome', (event) => this.#finish(/** @type {CustomEvent<Picture>} */ (event).detail));
    session.addEventListener('change', () => this.#followSession());
    api.addEventListener('reachable', (event) => {
      if (/** @type {CustomEvent<boolean>} */ (event).detail) this.#resume('offline');
    });
    addEventListener('online', () => this.#resume('offline'));
  }

  /**
   * Add files. Each takes the place of a file that failed under its name.
   *
   * @param {{ file: File, name: string, replaces?: boolean }[]} files
   */
  add(files) {
    const names = new Set(files.map(({ name }) => name));
    this.items = this.items.filter(({ state, name }) => state !== 'failed' || !names.has(name));
    const items = files.map(({ file, name, replaces = false }) => this.#makeItem(file, name, replaces));
    this.items.push(...items);
    this.#admit(items);
  }

  /**
   * Send a file again, under a usable name if its name was refused.
   *
   * @param {number} id
   */
  retry(id) {
    const item = this.#find(id);
    if (!item || (item.state !== 'failed' && item.state !== 'cancelled')) return;
    if (item.remedy === 'rename') item.name = usableName(item.name);
    Object.assign(item, { error: null, remedy: null, skipped: false, attempts: 0, notBefore: 0, sent: 0, versionId: null });
    this.#admit([item]);
  }

  /** Send everything again that was not sent because of the connection. */
  retryAll() {
    for (const item of this.items) if (item.state === 'failed' && item.remedy === 'retry') this.retry(item.id);
  }

  /** @param {number} id */
  cancel(id) {
    const item = this.#find(id);
    if (!item || !isUnsent(item)) return;
    this.#set(item, 'cancelled');
    this.#running.get(id)?.abort();
  }

  cancelAll() {
    for (const item of this.items.filter(isUnsent)) this.cancel(item.id);
  }

  /** Forget everything that has ended. */
  clear() {
    const before = this.items.length;
    this.items = this.items.filter((item) => isUnsent(item) || item.state === 'sent');
    if (this.items.length !== before) this.#changed(null);
  }

  /** @returns {Totals} */
  get totals() {
    const totals = { count: 0, sent: 0, finished: 0, failed: 0, unsent: 0, bytes: 0, sentBytes: 0 };
    for (const item of this.items) {
      if (item.state === 'cancelled') continue;
      const isStored = item.state === 'sent' || item.state === 'done';
      totals.count += 1;
      totals.sent += Number(isStored);
      totals.finished += Number(item.state === 'done' || item.state === 'failed');
      totals.failed += Number(item.state === 'failed');
      totals.unsent += Number(isUnsent(item));
      if (item.state === 'failed') continue;
      totals.bytes += item.size;
      totals.sentBytes += isStored ? item.size : item.sent;
    }
    const speed = totals.unsent && !this.paused ? this.#meter.speed() : null;
    return { ...totals, speed, secondsLeft: speed ? (totals.bytes - totals.sentBytes) / speed : null };
  }

  /**
   * @param {File} file
   * @param {string} name
   * @param {boolean} replaces
   * @returns {UploadItem}
   */
  #makeItem(file, name, replaces) {
    const id = this.#nextId;
    this.#nextId += 1;
    return {
      id,
      file,
      name,
      size: file.size,
      sent: 0,
      state: 'asking',
      error: null,
      remedy: null,
      replaces,
      skipped: false,
      attempts: 0,
      notBefore: 0,
      versionId: null,
      meter: new SpeedMeter(),
    };
  }

  /**
   * Refuse files that cannot be uploaded, and settle the names of the others.
   *
   * @param {UploadItem[]} items
   */
  async #admit(items) {
    const limit = this.#session.access?.maxUploadBytes ?? Infinity;
    for (const item of items) {
      const problem = sizeProblem(item.size, limit);
      const misnamed = nameProblem(item.name);
      if (problem) this.#fail(item, problem, null);
      else if (misnamed) this.#fail(item, misnamed, 'rename');
      else this.#set(item, 'asking');
    }
    const admitted = items.filter((item) => item.state === 'asking');
    const settled = admitted.filter((item) => item.replaces || !this.#session.can('read'));
    for (const item of settled) this.#enqueue(item, item.name);
    try {
      await settleNames(
        admitted.filter((item) => !settled.includes(item)),
        {
          find: (names) => this.#existing(names),
          isReserved: (name) => this.items.some((item) => item.name === name && this.#isScheduled(item)),
          ask: (conflict, others) =>
            conflict.candidate.state === 'asking'
              ? this.#ask(conflict, others)
              : Promise.resolve({ choice: 'skip', forAll: false }),
          settle: (item, name) => this.#enqueue(item, name),
        },
      );
    } catch (error) {
      for (const item of admitted) if (item.state === 'asking') this.#fail(item, problemOf(error), 'retry');
    }
  }

  /**
   * Find the uploads that exist, however long the API takes to answer.
   *
   * @param {string[]} names
   * @returns {Promise<Map<string, Picture>>}
   */
  async #existing(names) {
    for (;;) {
      await this.#resumed();
      try {
        const { statuses } = await this.#api.statuses(names.map((name) => UPLOADS + name));
        const pictures = statuses.map(fromRecord).filter(({ state }) => state !== 'DELETED');
        return new Map(pictures.map((picture) => [picture.name, picture]));
      } catch (error) {
        const reason = this.#pauseReason(error);
        if (reason) this.#pause(reason);
        else if (error instanceof ApiError && error.kind === 'throttled') await wait(LONGEST_DELAY);
        else throw error;
      }
    }
  }

  /**
   * @param {UploadItem} item
   * @param {string | null} name null to skip it.
   */
  #enqueue(item, name) {
    if (item.state !== 'asking') return; // cancelled meanwhile
    if (name === null) {
      item.skipped = true;
      this.#set(item, 'cancelled');
      return;
    }
    item.name = name;
    this.#set(item, 'queued');
    this.#pump();
  }

  #pump() {
    const now = performance.now();
    while (!this.paused && this.#running.size < this.#parallel) {
      const item = this.items.find(({ state, notBefore }) => state === 'queued' && notBefore <= now);
      if (!item) return;
      this.#send(item);
    }
  }

  /** @param {UploadItem} item */
  async #send(item) {
    const controller = new AbortController();
    const { signal } = controller;
    this.#running.set(item.id, controller);
    this.#set(item, 'asking');
    try {
      // S3 replaces ${filename} in the key of a form.
      const method = item.name.includes('${filename}') ? 'PUT' : 'POST';
      const request = /** @type {const} */ ({ name: UPLOADS + item.name, sizeBytes: item.size, method });
      const signed = await this.#api.presign(request, { signal });
      this.#parallel = PARALLEL;
      this.#set(item, 'sending');
      this.#pump();
      const onProgress = (/** @type {number} */ bytes) => this.#progress(item, bytes);
      const { versionId } = await transfer(signed, item.file, { signal, onProgress });
      this.#progress(item, item.size);
      this.#pauseDelay = FIRST_DELAY;
      item.versionId = versionId;
      this.#set(item, this.#session.can('read') ? 'sent' : 'done');
      if (item.state === 'sent') this.#statuses.watch(UPLOADS + item.name, { versionId });
    } catch (error) {
      if (!signal.aborted) this.#recover(item, error);
    } finally {
      this.#running.delete(item.id);
      this.#pump();
    }
  }

  /**
   * @param {UploadItem} item
   * @param {number} bytes
   */
  #progress(item, bytes) {
    this.#meteredBytes += Math.max(0, bytes - item.sent);
    this.#meter.add(this.#meteredBytes);
    item.meter.add(bytes);
    item.sent = bytes;
    this.#changed(item);
  }

  /**
   * Try again later, or fail.
   *
   * @param {UploadItem} item
   * @param {unknown} error
   */
  #recover(item, error) {
    item.sent = 0;
    const reason = this.#pauseReason(error);
    if (reason) {
      this.#set(item, 'queued');
      this.#pause(reason);
    } else if (isTemporary(error) && item.attempts + 1 < ATTEMPTS) {
      const retryAfter = error instanceof ApiError ? error.retryAfter : null;
      const delay = retryAfter ? retryAfter * 1000 : FIRST_DELAY * 2 ** item.attempts * (0.5 + Math.random() / 2);
      item.attempts += 1;
      item.notBefore = performance.now() + delay;
      this.#set(item, 'queued');
      setTimeout(() => this.#pump(), delay + 1);
    } else {
      this.#fail(item, problemOf(error), 'retry');
    }
  }

  /**
   * Return why the queue must wait, whatever the file; null if the error is about one file.
   *
   * @param {unknown} error
   */
  #pauseReason(error) {
    if (error instanceof ApiError && error.kind === 'unauthorized') return 'signed-out';
    if (error instanceof ApiError && error.kind === 'offline') return 'offline';
    const isBroken = error instanceof TransferError && error.kind === 'network';
    return isBroken && (!navigator.onLine || !this.#api.reachable) ? 'offline' : null;
  }

  /** @param {'offline' | 'signed-out'} reason */
  #pause(reason) {
    // A new credential may have arrived while the request with the old one was on its way.
    const isOutdated = reason === 'signed-out' && this.#session.state === 'signed-in';
    if (this.paused || isOutdated) return;
    this.paused = reason;
    this.#meter.clear();
    this.#changed(null);
    if (reason !== 'offline') return;
    this.#parallel = 1;
    setTimeout(() => this.#resume('offline'), this.#pauseDelay);
    this.#pauseDelay = Math.min(this.#pauseDelay * 2, LONGEST_DELAY);
  }

  /** @param {'offline' | 'signed-out'} reason */
  #resume(reason) {
    if (this.paused !== reason) return;
    this.paused = null;
    this.#changed(null);
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#pump();
  }

  /** @returns {Promise<void>} */
  #resumed() {
    return this.paused ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  #followSession() {
    if (this.#session.state === 'signed-in') {
      this.#resume('signed-out');
    } else if (this.#session.state === 'signed-out') {
      // Somebody else may sign in next, and must not send these files.
      this.cancelAll();
      this.items = [];
      this.paused = null;
      this.#changed(null);
    }
  }

  /** @param {Picture} picture */
  #finish(picture) {
    for (const item of this.items) {
      if (item.state !== 'sent' || UPLOADS + item.name !== picture.key) continue;
      if (picture.state === 'FAILED') this.#fail(item, picture.error ?? UNKNOWN, remedyFor(picture.error));
      else if (picture.state === 'DELETED') this.#fail(item, DELETED, 'retry');
      else this.#set(item, 'done');
    }
  }

  /**
   * @param {UploadItem} item
   * @param {{ message: string, hint: string }} error
   * @param {Remedy | null} remedy
   */
  #fail(item, error, remedy) {
    item.error = error;
    item.remedy = remedy;
    this.#set(item, 'failed');
  }

  /**
   * @param {UploadItem} item
   * @param {UploadState} state
   */
  #set(item, state) {
    item.state = state;
    this.#changed(item);
  }

  /** @param {UploadItem | null} item */
  #changed(item) {
    this.dispatchEvent(new CustomEvent('change', { detail: item }));
  }

  /** @param {UploadItem} item */
  #isScheduled({ id, state }) {
    return state === 'queued' || state === 'sent' || this.#running.has(id);
  }

  /** @param {number} id */
  #find(id) {
    return this.items.find((item) => item.id === id);
  }
}

const UNKNOWN = { message: 'The image could not be processed.', hint: 'Open it to see its record.' };
const DELETED = { message: 'The upload was deleted before it was processed.', hint: 'Retry to upload it again.' };

/**
 * Return whether the file is lost if the page closes now.
 *
 * @param {UploadItem} item
 */
export function isUnsent({ state }) {
  return state === 'asking' || state === 'queued' || state === 'sending';
}

/** @param {unknown} error */
function isTemporary(error) {
  if (error instanceof ApiError) return error.kind === 'throttled';
  return error instanceof TransferError && ['network', 'busy', 'expired'].includes(error.kind);
}

/**
 * @param {number} size
 * @param {number} limit
 */
function sizeProblem(size, limit) {
  if (size === 0) return { message: 'The file is empty: it has 0 bytes.', hint: 'Choose a file that contains an image.' };
  if (size <= limit) return null;
  return {
    message: `The file has ${formatBytes(size)}; this stack accepts up to ${formatBytes(limit)}.`,
    hint: 'Make the image smaller and add it again.',
  };
}

/** @param {unknown} error */
function problemOf(error) {
  if (error instanceof TransferError) return { message: error.message, hint: error.hint };
  return { message: error instanceof Error ? error.message : String(error), hint: '' };
}
