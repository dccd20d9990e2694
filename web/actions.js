// What people do with uploads: reprocess, delete, restore, download. Four requests run at a time.

import { ApiError, wait } from './api.js';
import { formatNumber, printable } from './format.js';
import { isPending, nameOf } from './picture.js';

const PARALLEL = 4;
const ATTEMPTS = 5;
const LEAVING_MILLISECONDS = 1000;

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {{ key: string, error: unknown }} Failure
 *
 * @typedef {object} Verb
 * @property {string} now such as "Deleting".
 * @property {string} done such as "Deleted".
 * @property {string} not such as "not deleted".
 */

const REPROCESS = { now: 'Starting', done: 'Processing', not: 'not processed again' };
const REMOVE = { now: 'Deleting', done: 'Deleted', not: 'not deleted' };
const RESTORE = { now: 'Restoring', done: 'Restored', not: 'not restored' };

/** Emits `change` with `detail: string[]`, the keys, when requests about them start or end. */
export class Actions extends EventTarget {
  /** The keys that a request is about. @type {Set<string>} */
  busy = new Set();

  /** Whether the page is leaving only for a download, so that it stays. */
  isDownloading = false;

  #api;
  #listing;
  #statuses;
  #selection;
  #toasts;

  /**
   * @param {object} parts
   * @param {import('./api.js').Api} parts.api
   * @param {import('./listing.js').Listing} parts.listing
   * @param {import('./statuses.js').Statuses} parts.statuses
   * @param {import('./selection.js').Selection} parts.selection
   * @param {import('./toast.js').ToastList} parts.toasts
   */
  constructor({ api, listing, statuses, selection, toasts }) {
    super();
    this.#api = api;
    this.#listing = listing;
    this.#statuses = statuses;
    this.#selection = selection;
    this.#toasts = toasts;
  }

  /**
   * @param {string[]} keys
   * @param {(key: string) => Promise<{ executionId: string }>} [start]
   */
  async reprocess(keys, start = (key) => this.#api.reprocess(key)) {
    const { done, failures, show } = await this.#runAll(REPROCESS, keys, async (key) => {
      const { executionId } = await this.#patiently(() => start(key));
      this.#expect(key);
      this.#statuses.watch(key, { executionId });
    });
    const started = done.length ? `Processing ${imagesOf(done)} again.` : '';
    this.#report(show, REPROCESS, started, failures, (rest) => this.reprocess(rest, start));
  }

  /** @param {string[]} keys */
  async remove(keys) {
    /** @type {Map<string, Picture | undefined>} */
    const before = new Map(keys.map((key) => [key, this.#listing.find(key)]));
    const { done, failures, show } = await this.#runAll(REMOVE, keys, async (key) => {
      const picture = before.get(key);
      if (picture) this.#listing.upsert({ ...picture, state: 'DELETED' });
      try {
        await this.#patiently(() => this.#api.remove(key));
        this.#statuses.watch(key, { deleted: true });
      } catch (error) {
        if (picture) this.#listing.upsert(picture);
        throw error;
      }
    });
    this.#selection.remove(done);
    const undo = done.length ? [{ label: 'Undo', run: () => void this.restore(done) }] : [];
    const deleted = done.length ? `Deleted ${imagesOf(done)}.` : '';
    this.#report(show, REMOVE, deleted, failures, (rest) => this.remove(rest), undo);
  }

  /** @param {string[]} keys */
  async restore(keys) {
    const { done, failures, show } = await this.#runAll(RESTORE, keys, async (key) => {
      const { versionId } = await this.#patiently(() => this.#api.restore(key), { obeys: true });
      this.#expect(key);
      this.#statuses.watch(key, { versionId });
    });
    const restored = done.length ? `Restored ${imagesOf(done)}.` : '';
    this.#report(show, RESTORE, restored, failures, (rest) => this.restore(rest));
  }

  /**
   * Download the original. The bucket sends it as an attachment, so the page stays.
   *
   * @param {string} key
   */
  async download(key) {
    try {
      const { url } = await this.#api.original(key);
      this.isDownloading = true;
      location.assign(url);
      setTimeout(() => (this.isDownloading = false), LEAVING_MILLISECONDS);
    } catch (error) {
      this.#toasts.show({ kind: 'problem', text: `${quoted(key)} cannot be downloaded. ${textOf(error)}` });
    }
  }

  /**
   * Run an action for many keys, and show the progress if there are several.
   *
   * @param {Verb} verb
   * @param {string[]} keys
   * @param {(key: string) => Promise<void>} work
   */
  async #runAll(verb, keys, work) {
    const queue = keys.filter((key) => !this.busy.has(key));
    const total = queue.length;
    /** @type {string[]} */
    const done = [];
    /** @type {Failure[]} */
    const failures = [];
    /** @type {import('./toast.js').Toast | null} */
    let toast = null;
    const show = (/** @type {import('./toast.js').Message} */ message) => {
      if (toast) toast.show(message);
      else toast = this.#toasts.show(message);
    };
    const progress = () => {
      const count = done.length + failures.length;
      const text = `${verb.now} ${formatNumber(count)} of ${formatNumber(total)}…`;
      if (total > 1) show({ text, progress: count / total });
    };
    const worker = async () => {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
        try {
          await work(key);
          done.push(key);
        } catch (error) {
          failures.push({ key, error });
        }
        progress();
      }
    };
    this.#occupy(queue, true);
    const all = [...queue];
    progress();
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    this.#occupy(all, false);
    return { done, failures, show };
  }

  /**
   * Show the result.
   *
   * @param {(message: import('./toast.js').Message) => void} show
   * @param {Verb} verb
   * @param {string} text what succeeded.
   * @param {Failure[]} failures
   * @param {(keys: string[]) => void} repeat
   * @param {import('./toast.js').ToastAction[]} [actions]
   */
  #report(show, verb, text, failures, repeat, actions = []) {
    if (!failures.length) {
      if (text) show({ text, actions });
      return;
    }
    const waits = failures.map(({ error }) => (error instanceof ApiError ? (error.retryAfter ?? 0) : 0));
    const again = {
      label: 'Try again',
      run: () => repeat(failures.map(({ key }) => key)),
      waitSeconds: Math.max(...waits),
    };
    const [{ key, error }] = failures;
    const isOne = failures.length === 1;
    const single = again.waitSeconds ? textOf(error) : `${quoted(key)} was ${verb.not}. ${textOf(error)}`; // a cooldown names the upload
    const problem = isOne ? single : `${formatNumber(failures.length)} images were ${verb.not}:`;
    const about = isOne ? `${key} ${verb.not}` : undefined;
    const problems = failures.map((failure) => ({ name: nameOf(failure.key), reason: textOf(failure.error) }));
    show({ kind: 'problem', text: `${text} ${problem}`.trim(), problems: isOne ? [] : problems, actions: [...actions, again], about });
  }

  /**
   * Send a request again while the API is busy. A cooldown of the upload is reported unless the caller obeys it.
   *
   * @template Answer
   * @param {() => Promise<Answer>} send
   * @param {{ obeys?: boolean }} [options]
   * @returns {Promise<Answer>}
   */
  async #patiently(send, { obeys = false } = {}) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send();
      } catch (error) {
        const isBusy = error instanceof ApiError && error.kind === 'throttled' && (obeys || error.retryAfter === null);
        if (!isBusy || attempt === ATTEMPTS) throw error;
        await wait((error.retryAfter ?? 2 ** attempt / 2) * 1000);
      }
    }
  }

  /**
   * Show that the pipeline works on an upload, before its record says so.
   *
   * @param {string} key
   */
  #expect(key) {
    const picture = this.#listing.find(key);
    if (picture && !isPending(picture)) this.#listing.upsert({ ...picture, state: 'WAITING', error: null });
  }

  /**
   * @param {string[]} keys
   * @param {boolean} isBusy
   */
  #occupy(keys, isBusy) {
    for (const key of keys) {
      if (isBusy) this.busy.add(key);
      else this.busy.delete(key);
    }
    this.dispatchEvent(new CustomEvent('change', { detail: keys }));
  }
}

/** @param {string[]} keys */
function imagesOf(keys) {
  return keys.length === 1 ? quoted(keys[0]) : `${formatNumber(keys.length)} images`;
}

/**
 * Return the name in quotation marks. Isolates keep its direction away from the text around it.
 *
 * @param {string} key
 */
function quoted(key) {
  return `“\u2068${printable(nameOf(key))}\u2069”`;
}

/** @param {unknown} error */
function textOf(error) {
  return error instanceof Error ? error.message : String(error);
}
