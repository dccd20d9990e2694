// The queue of uploads. It checks names, sends four files at a time straight to the bucket, and follows each to its
// outcome. It knows nothing of the DOM.

import { ApiError, wait } from './api.js';
import { settleNames } from './conflicts.js';
import { formatBytes } from './format.js';
import { fromRecord, remedyFor, UPLOADS } from './picture.js';
import { SpeedMeter } from './speed.js';
import { transfer, TransferError } from './transfer.js';
import { nameProblem, usableName } from './upload-names.js';

const PARALLEL = 4;
const SLICE = 1000; // files that are checked before the page may do something else
const ATTEMPTS = 6;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {'asking' | 'queued' | 'sending' | 'sent' | 'done' | 'failed' | 'cancelled'} UploadState
 *   `asking`: the API checks the name, or signs; `sent`: the pipeline works on it.
 * @typedef {'retry' | 'rename' | 'choose' | 'replace' | 'reprocess'} Remedy what helps when an upload has failed.
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
 * @property {boolean} replaces whether it may replace an upload.
 * @property {string[]} refused the names that the bucket refused because they are taken, the wanted one first.
 * @property {boolean} skipped whether it was cancelled because its name is taken.
 * @property {number} attempts failed attempts to send it.
 * @property {string | null} versionId
 * @property {SpeedMeter | null} meter null until it is sent.
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
 */

/** Emits `change` with `detail: UploadItem | null` for each change of an item or of the whole queue. */
export class UploadQueue extends EventTarget {
  /** @type {UploadItem[]} */
  items = [];

  /** The items by name. @type {Map<string, UploadItem[]>} */
  #byName = new Map();

  /** Items to send, in order. Those that were cancelled meanwhile are not `queued`. @type {UploadItem[]} */
  #ready = [];

  #unsent = 0;

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
  /** Files whose names the bucket refused and that are not asked about yet. @type {UploadItem[]} */
  #refused = [];
  #isAsking = false;

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
    this.#keep(({ state, name }) => state !== 'failed' || !names.has(name));
    const items = files.map(({ file, name, replaces = false }) => this.#makeItem(file, name, replaces));
    this.items = this.items.concat(items);
    this.#admit(items);
  }

  /**
   * Send another file in place of one that cannot be sent: to the same folder, under its own name.
   *
   * @param {number} id
   * @param {File} file
   */
  choose(id, file) {
    const item = this.#find(id);
    if (item?.state !== 'failed') return;
    this.#rename(item, item.name.slice(0, item.name.lastIndexOf('/') + 1) + file.name);
    Object.assign(item, { file, size: file.size, replaces: false });
    this.#repeat([item]);
  }

  /**
   * Send a file again, under a usable name if its name was refused.
   *
   * @param {number} id
   */
  retry(id) {
    const item = this.#find(id);
    if (!item || (item.state !== 'failed' && item.state !== 'cancelled')) return;
    if (item.remedy === 'rename') this.#rename(item, usableName(item.name));
    this.#repeat([item]);
  }

  /** Send everything again that was not sent because of the connection. */
  retryAll() {
    this.#repeat(this.items.filter(({ state, remedy }) => state === 'failed' && remedy === 'retry'));
  }

  /** @param {UploadItem[]} items */
  #repeat(items) {
    for (const item of items) {
      Object.assign(item, { error: null, remedy: null, refused: [], skipped: false, attempts: 0, sent: 0, versionId: null });
      this.#set(item, 'asking');
    }
    this.#admit(items);
  }

  /** @param {number} id */
  cancel(id) {
    const item = this.#find(id);
    if (item) this.#cancel(item);
  }

  cancelAll() {
    const running = this.items.filter(({ id }) => this.#running.has(id));
    running.forEach((item) => this.#cancel(item));
    for (const item of this.items) if (isUnsent(item)) this.#mark(item, 'cancelled');
    this.#changed(null);
  }

  /** @param {UploadItem} item */
  #cancel(item) {
    if (!isUnsent(item)) return;
    this.#set(item, 'cancelled');
    this.#running.get(item.id)?.abort();
  }

  /** Forget everything that has ended. */
  clear() {
    const before = this.items.length;
    this.#keep((item) => isUnsent(item) || item.state === 'sent');
    if (this.items.length !== before) this.#changed(null);
  }

  /** Whether files are lost if the page closes. */
  get hasUnsent() {
    return this.#unsent > 0;
  }

  /**
   * Take what the gallery learned about an image. An upload that failed may be processed again, here or elsewhere.
   *
   * @param {Picture} picture
   */
  follow(picture) {
    for (const item of this.#named(picture.name)) {
      if (item.state !== 'failed' || item.versionId === null) continue;
      if (picture.state === 'WAITING' || picture.state === 'PROCESSING') this.#recovered(item, 'sent');
      else if (picture.state === 'COMPLETED' || picture.state === 'PARTIAL') this.#recovered(item, 'done');
    }
  }

  /**
   * @param {UploadItem} item
   * @param {UploadState} state
   */
  #recovered(item, state) {
    Object.assign(item, { error: null, remedy: null });
    this.#set(item, state);
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
    return { ...totals, speed: totals.unsent && !this.paused ? this.#meter.speed() : null };
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
    this.#unsent += 1;
    /** @type {UploadItem} */
    const item = {
      id,
      file,
      name,
      size: file.size,
      sent: 0,
      state: 'asking',
      error: null,
      remedy: null,
      replaces,
      refused: [],
      skipped: false,
      attempts: 0,
      versionId: null,
      meter: null,
    };
    this.#index(item);
    return item;
  }

  /**
   * Refuse files that cannot be uploaded, and settle the names of the others.
   *
   * @param {UploadItem[]} items
   */
  async #admit(items) {
    const canRead = this.#session.can('read');
    /** @type {UploadItem[]} */
    const unsettled = [];
    for (let start = 0; start < items.length; start += SLICE) {
      if (start) await wait(0);
      for (const item of items.slice(start, start + SLICE)) {
        if (item.state !== 'asking' || !this.#isUsable(item)) continue;
        if (canRead && !item.replaces) unsettled.push(item);
        else this.#enqueue(item, item.name);
      }
      this.#changed(null);
    }
    await this.#settle(unsettled);
  }

  /** @param {UploadItem[]} items */
  async #settle(items) {
    const isRefused = (/** @type {string} */ name) => items.some(({ refused }) => refused.includes(name));
    try {
      await settleNames(items, {
        find: (names) => this.#existing(names),
        isReserved: (name) => isRefused(name) || this.#named(name).some((item) => this.#isScheduled(item)),
        ask: (conflict, others) => this.#decide(conflict, others),
        settle: (item, name, replaces) => {
          item.replaces = replaces;
          this.#enqueue(item, name);
        },
      });
    } catch (error) {
      for (const item of items) if (item.state === 'asking') this.#fail(item, problemOf(error), 'retry');
    }
  }

  /**
   * @param {import('./conflicts.js').Conflict<UploadItem>} conflict
   * @param {number} others
   * @returns {Promise<import('./conflicts.js').Answer>}
   */
  async #decide(conflict, others) {
    const { state, refused } = conflict.candidate;
    if (state !== 'asking') return { choice: 'skip', forAll: false }; // cancelled meanwhile
    if (refused.length > 1) return { choice: 'keep-both', forAll: false }; // the number that it got was taken, too
    return this.#ask(conflict, others);
  }

  /**
   * The bucket has the name: somebody took it meanwhile, or the key may not read. Ask, one question at a time; files that
   * are refused until the answer are part of the next question.
   *
   * @param {UploadItem} item
   */
  async #refuse(item) {
    item.refused.push(item.name);
    this.#rename(item, item.refused[0]);
    this.#set(item, 'asking');
    this.#refused.push(item);
    if (this.#isAsking) return;
    this.#isAsking = true;
    while (this.#refused.length) await this.#settle(this.#refused.splice(0));
    this.#isAsking = false;
  }

  /**
   * Return whether a file can be uploaded; if not, it fails.
   *
   * @param {UploadItem} item
   */
  #isUsable(item) {
    const problem = sizeProblem(item.size, this.#session.access?.maxUploadBytes ?? Infinity);
    const misnamed = problem ? null : nameProblem(item.name);
    if (problem) this.#fail(item, problem, 'choose');
    else if (misnamed) this.#fail(item, misnamed, 'rename');
    return !problem && !misnamed;
  }

  /**
   * Find the uploads that exist, however long the API takes to answer. Without the right to read, only the bucket knows.
   *
   * @param {string[]} names
   * @returns {Promise<Map<string, Picture>>}
   */
  async #existing(names) {
    if (!this.#session.can('read')) return new Map();
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
    this.#rename(item, name);
    this.#set(item, 'queued');
    this.#ready.push(item);
    this.#pump();
  }

  #pump() {
    while (!this.paused && this.#running.size < this.#parallel) {
      const item = this.#ready.shift();
      if (!item) return;
      if (item.state === 'queued') this.#send(item);
    }
  }

  /** @param {UploadItem} item */
  async #send(item) {
    const controller = new AbortController();
    const { signal } = controller;
    this.#running.set(item.id, controller);
    this.#set(item, 'asking');
    try {
      const request = { name: UPLOADS + item.name, sizeBytes: item.size, overwrite: item.replaces };
      const { put } = await this.#api.presign({ ...request, method: 'PUT' }, { signal }); // a form cannot refuse to overwrite
      this.#parallel = PARALLEL;
      item.meter = new SpeedMeter();
      this.#set(item, 'sending');
      this.#pump();
      const onProgress = (/** @type {number} */ bytes) => this.#progress(item, bytes);
      const { versionId } = await transfer(put, item.file, { signal, onProgress });
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
    item.meter?.add(bytes);
    item.sent = bytes;
    this.#changed(item);
  }

  /**
   * Ask, try again later, or fail.
   *
   * @param {UploadItem} item
   * @param {unknown} error
   */
  #recover(item, error) {
    item.sent = 0;
    const reason = this.#pauseReason(error);
    if (error instanceof TransferError && error.kind === 'taken') {
      this.#refuse(item);
    } else if (reason) {
      this.#set(item, 'queued');
      this.#ready.unshift(item);
      this.#pause(reason);
    } else if (isTemporary(error) && item.attempts + 1 < ATTEMPTS) {
      const retryAfter = error instanceof ApiError ? error.retryAfter : null;
      const delay = retryAfter ? retryAfter * 1000 : FIRST_DELAY * 2 ** item.attempts * (0.5 + Math.random() / 2);
      item.attempts += 1;
      this.#set(item, 'queued');
      setTimeout(() => {
        this.#ready.unshift(item);
        this.#pump();
      }, delay);
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
      this.#keep(() => false);
      this.paused = null;
      this.#changed(null);
    }
  }

  /** @param {Picture} picture */
  #finish(picture) {
    for (const item of this.#named(picture.name)) {
      if (item.state !== 'sent') continue;
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
    this.#mark(item, state);
    this.#changed(item);
  }

  /**
   * Change the state without an event: there may be many items.
   *
   * @param {UploadItem} item
   * @param {UploadState} state
   */
  #mark(item, state) {
    const before = isUnsent(item);
    item.state = state;
    this.#unsent += Number(isUnsent(item)) - Number(before);
  }

  /** @param {UploadItem | null} item */
  #changed(item) {
    this.dispatchEvent(new CustomEvent('change', { detail: item }));
  }

  /** @param {UploadItem} item */
  #isScheduled({ id, state }) {
    return state === 'queued' || state === 'sent' || this.#running.has(id);
  }

  /** @param {UploadItem} item */
  #index(item) {
    this.#byName.set(item.name, [...this.#named(item.name), item]);
  }

  /**
   * @param {UploadItem} item
   * @param {string} name
   */
  #rename(item, name) {
    if (name === item.name) return;
    this.#unindex(item);
    item.name = name;
    this.#index(item);
  }

  /** @param {UploadItem} item */
  #unindex(item) {
    const others = this.#named(item.name).filter((each) => each !== item);
    if (others.length) this.#byName.set(item.name, others);
    else this.#byName.delete(item.name);
  }

  /** @param {string} name */
  #named(name) {
    return this.#byName.get(name) ?? [];
  }

  /** @param {(item: UploadItem) => boolean} condition */
  #keep(condition) {
    this.items = this.items.filter((item) => {
      const isKept = condition(item);
      if (!isKept) this.#unindex(item);
      return isKept;
    });
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
