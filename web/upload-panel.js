// The panel at the bottom right that shows how the uploads go.

import { bdi, el, fill } from './dom.js';
import { formatBytes, formatDuration, formatNumber, formatPercent, printable } from './format.js';
import { icon } from './icons.js';
import { UPLOADS } from './picture.js';
import { usableName } from './upload-names.js';
import { isUnsent } from './upload-queue.js';

/**
 * @typedef {import('./upload-queue.js').UploadItem} UploadItem
 * @typedef {import('./upload-queue.js').UploadState} UploadState
 * @typedef {{ element: HTMLLIElement, shown: string }} Row
 */

const PAGE = 60;
const DRAW_MILLISECONDS = 100;

/** The order of the rows: what moves, what needs attention, what waits, what is done. @type {UploadState[]} */
const ORDER = ['sending', 'failed', 'sent', 'asking', 'queued', 'done', 'cancelled'];

export class UploadPanel extends HTMLElement {
  #queue;
  #listing;
  #actions;
  #toasts;
  #open;
  #replace;
  #choose;
  #limit = PAGE;
  #isScheduled = false;
  #wasActive = false;
  #known = 0;
  /** @type {Map<number, Row>} */
  #rows = new Map();
  #title = el('h2', { class: 'uploads-title' });
  #summary = el('p', { class: 'uploads-summary' });
  #progress = el('progress', { class: 'progress', attrs: { max: 1, value: 0, 'aria-label': 'All uploads' } });
  #list = el('ul', { class: 'uploads-list', attrs: { tabindex: 0, 'aria-label': 'Files' } });
  #more = el('button', { class: 'button quiet small uploads-more', attrs: { type: 'button' } });
  #cancelAll = textButton('Cancel all', () => this.#queue.cancelAll());
  #retryAll = textButton('Retry all', () => this.#queue.retryAll());
  #toggle = el('button', { class: 'icon-button', attrs: { type: 'button', 'aria-controls': 'uploads-body' } });
  #close = el(
    'button',
    { class: 'icon-button', attrs: { type: 'button', 'aria-label': 'Close uploads' }, on: { click: () => this.#queue.clear() } },
    icon('close'),
  );
  #body = el('div', { class: 'uploads-body', attrs: { id: 'uploads-body' } }, this.#list, this.#more);

  /**
   * @param {object} parts
   * @param {import('./upload-queue.js').UploadQueue} parts.queue
   * @param {import('./listing.js').Listing} parts.listing
   * @param {import('./actions.js').Actions} parts.actions
   * @param {import('./toast.js').ToastList} parts.toasts
   * @param {(key: string) => void} parts.open opens an image.
   * @param {(name: string) => void} parts.replace chooses another file for a name.
   * @param {(id: number) => void} parts.choose chooses another file for an upload that was not sent.
   */
  constructor({ queue, listing, actions, toasts, open, replace, choose }) {
    super();
    this.#queue = queue;
    this.#listing = listing;
    this.#actions = actions;
    this.#toasts = toasts;
    this.#open = open;
    this.#replace = replace;
    this.#choose = choose;
  }

  connectedCallback() {
    this.hidden = true;
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Uploads');
    this.append(
      el(
        'div',
        { class: 'uploads-header' },
        el('div', { class: 'uploads-heading' }, this.#title, this.#summary),
        this.#retryAll,
        this.#cancelAll,
        this.#toggle,
        this.#close,
      ),
      this.#progress,
      this.#body,
    );
    this.#toggle.addEventListener('click', () => this.#collapse(!this.#body.hidden));
    this.#more.addEventListener('click', () => {
      this.#limit += PAGE;
      this.#schedule();
    });
    this.#collapse(false);
    this.#queue.addEventListener('change', () => this.#schedule());
    this.#listing.addEventListener('change', () => this.#queue.items.length && this.#schedule());
    addEventListener('beforeunload', (event) => {
      if (this.#queue.hasUnsent && !this.#actions.isDownloading) event.preventDefault();
    });
  }

  /** @param {boolean} isCollapsed */
  #collapse(isCollapsed) {
    this.#body.hidden = isCollapsed;
    this.#toggle.setAttribute('aria-expanded', String(!isCollapsed));
    this.#toggle.setAttribute('aria-label', isCollapsed ? 'Show files' : 'Hide files');
    fill(this.#toggle, icon(isCollapsed ? 'chevron-up' : 'chevron-down'));
  }

  /** Draw soon and once, however many changes come. */
  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setTimeout(() => {
      this.#isScheduled = false;
      this.#draw();
    }, DRAW_MILLISECONDS);
  }

  #draw() {
    const { items } = this.#queue;
    const totals = this.#queue.totals;
    this.#announce(totals);
    if (this.hidden && items.length) this.#collapse(false);
    this.hidden = items.length === 0;
    if (this.hidden) this.#limit = PAGE;
    const { title, summary } = describeAll(totals, this.#queue.paused);
    this.#title.textContent = title;
    this.#summary.textContent = summary;
    this.#summary.hidden = !summary;
    this.dataset.state = totals.unsent ? (this.#queue.paused ?? 'active') : 'idle';
    this.#progress.hidden = totals.unsent === 0;
    this.#progress.value = totals.bytes ? totals.sentBytes / totals.bytes : 0;
    this.#cancelAll.hidden = totals.unsent < 2;
    this.#retryAll.hidden = items.filter(({ state, remedy }) => state === 'failed' && remedy === 'retry').length < 2;
    this.#close.hidden = totals.unsent > 0;
    this.#drawRows(items);
  }

  /** @param {UploadItem[]} items */
  #drawRows(items) {
    const sorted = firstRows(items, this.#limit);
    const focused = document.activeElement?.closest('li[data-upload]') ?? null;
    const hadFocus = this.#list.contains(focused);
    const present = new Set(sorted.map(({ id }) => id));
    for (const [id, { element }] of this.#rows) {
      if (present.has(id)) continue;
      element.remove();
      this.#rows.delete(id);
    }
    sorted.forEach((item, index) => {
      const { element } = this.#row(item);
      if (this.#list.children[index] !== element) this.#list.insertBefore(element, this.#list.children[index] ?? null);
    });
    const rest = items.length - sorted.length;
    this.#more.hidden = rest === 0;
    this.#more.textContent = `Show ${formatNumber(Math.min(rest, PAGE))} of ${formatNumber(rest)} more`;
    if (!hadFocus || document.activeElement?.closest('li[data-upload]') === focused) return;
    const target = focused?.isConnected ? focused.querySelector('button') : null;
    (target ?? this.#list).focus();
  }

  /**
   * Return the row of a file as it is now.
   *
   * @param {UploadItem} item
   */
  #row(item) {
    const { note, icon: iconName } = this.#describe(item);
    const shown = JSON.stringify([item.name, item.state, note, item.error, item.remedy, item.sent]);
    const row = this.#rows.get(item.id) ?? { element: el('li', { class: 'upload' }), shown: '' };
    this.#rows.set(item.id, row);
    if (row.shown === shown) return row;
    row.shown = shown;
    const { element } = row;
    const progress = element.querySelector('progress');
    if (element.dataset.state === 'sending' && item.state === 'sending' && progress) {
      progress.value = item.sent / item.size;
      /** @type {Element} */ (element.querySelector('.upload-note')).textContent = note;
      return row;
    }
    element.dataset.upload = item.name;
    element.dataset.state = item.state;
    const nameId = `upload-${item.id}`;
    const isStored = item.state === 'sent' || item.state === 'done' || (item.state === 'failed' && item.versionId !== null);
    const name = bdi(item.name);
    const title = printable(item.name);
    fill(
      element,
      el('span', { class: 'upload-icon' }, iconName === 'spinner' ? el('span', { class: 'spinner' }) : icon(iconName)),
      el(
        'div',
        { class: 'upload-text' },
        isStored
          ? el(
              'button',
              {
                class: 'upload-name',
                attrs: { type: 'button', id: nameId, title },
                on: { click: () => this.#open(UPLOADS + item.name) },
              },
              name,
            )
          : el('span', { class: 'upload-name', attrs: { id: nameId, title } }, name),
        el('span', { class: 'upload-note' }, note),
        item.error && item.state === 'failed' && el('p', { class: 'upload-error' }, item.error.message, ' ', item.error.hint),
        this.#remedy(item, nameId),
      ),
      this.#button(item, nameId),
      item.state === 'sending' &&
        el('progress', { class: 'progress', attrs: { max: 1, value: item.sent / item.size, 'aria-labelledby': nameId } }),
    );
    return row;
  }

  /**
   * @param {UploadItem} item
   * @returns {{ note: string, icon: import('./icons.js').IconName | 'spinner' }}
   */
  #describe(item) {
    const size = formatBytes(item.size);
    switch (item.state) {
      case 'asking':
        return { note: `${size} · Checking the name`, icon: 'clock' };
      case 'queued':
        return { note: item.attempts ? `${size} · Tries again soon` : `${size} · Waiting`, icon: 'clock' };
      case 'sending': {
        const speed = item.meter?.speed() ?? null;
        const sent = `${formatPercent(item.sent / item.size)} of ${size}`;
        return { note: [sent, ...pace(speed, item.size - item.sent)].join(' · '), icon: 'upload' };
      }
      case 'sent': {
        const isProcessing = this.#listing.find(UPLOADS + item.name)?.state === 'PROCESSING';
        return { note: isProcessing ? 'Processing' : 'Uploaded, waiting for the pipeline', icon: 'spinner' };
      }
      case 'done':
        return { note: size, icon: 'check' };
      case 'failed':
        return { note: '', icon: 'alert' };
      default:
        return { note: item.skipped ? 'Skipped: the name is taken' : 'Cancelled', icon: 'close' };
    }
  }

  /**
   * @param {UploadItem} item
   * @param {string} nameId
   */
  #remedy(item, nameId) {
    if (item.state !== 'failed') return null;
    const button = (/** @type {string | Node[]} */ label, /** @type {() => void} */ run) =>
      el(
        'button',
        { class: 'button small', attrs: { type: 'button', 'aria-describedby': nameId }, on: { click: run } },
        ...label,
      );
    switch (item.remedy) {
      case 'rename': {
        const run = () => this.#queue.retry(item.id);
        return button([document.createTextNode('Upload as '), bdi(usableName(item.name), { class: 'upload-rename' })], run);
      }
      case 'choose':
        return button('Choose another file', () => this.#choose(item.id));
      case 'replace':
        return button('Replace file', () => this.#replace(item.name));
      case 'reprocess':
        return button('Reprocess', () => this.#actions.reprocess([UPLOADS + item.name]));
      default:
        return null;
    }
  }

  /**
   * @param {UploadItem} item
   * @param {string} nameId
   */
  #button(item, nameId) {
    const button = (/** @type {string} */ label, /** @type {'close' | 'reprocess'} */ name, /** @type {() => void} */ run) =>
      el(
        'button',
        {
          class: 'icon-button',
          attrs: { type: 'button', 'aria-label': label, 'aria-describedby': nameId, title: label },
          on: { click: run },
        },
        icon(name),
      );
    if (isUnsent(item)) return button('Cancel', 'close', () => this.#queue.cancel(item.id));
    const canRetry = item.state === 'cancelled' || (item.state === 'failed' && item.remedy === 'retry');
    return canRetry ? button('Retry', 'reprocess', () => this.#queue.retry(item.id)) : null;
  }

  /** @param {import('./upload-queue.js').Totals} totals */
  #announce({ count, unsent, finished, failed }) {
    if (count > this.#known) this.#toasts.announce(`${countOf(count - this.#known)} added to the uploads.`);
    this.#known = count;
    const isActive = count > finished;
    if (this.#wasActive && !isActive && count && !unsent) {
      const good = finished - failed;
      this.#toasts.announce(`Uploads finished: ${formatNumber(good)} completed, ${formatNumber(failed)} failed.`);
    }
    this.#wasActive = isActive;
  }
}

/**
 * Return the items that have rows, in order. There may be 100,000 items, several times a second, so they are not sorted.
 *
 * @param {UploadItem[]} items in the order in which they were added.
 * @param {number} limit
 */
function firstRows(items, limit) {
  const groups = Object.fromEntries(ORDER.map((state) => [state, /** @type {UploadItem[]} */ ([])]));
  for (const item of items) if (groups[item.state].length < limit) groups[item.state].push(item);
  return Object.values(groups).flat().slice(0, limit);
}

/**
 * Return the texts about all uploads.
 *
 * @param {import('./upload-queue.js').Totals} totals
 * @param {'offline' | 'signed-out' | null} paused
 */
function describeAll({ count, sent, finished, failed, unsent, speed, bytes, sentBytes }, paused) {
  const left = `${countOf(unsent)} left`;
  const problems = failed ? ` · ${formatNumber(failed)} failed` : '';
  if (unsent && paused === 'offline') return { title: 'Waiting for the connection', summary: `${left}. Continues automatically.` };
  if (unsent && paused === 'signed-out') return { title: 'Sign in to continue', summary: left };
  if (unsent) {
    const parts = pace(speed, bytes - sentBytes);
    if (failed) parts.push(`${formatNumber(failed)} failed`);
    return { title: `Uploading ${formatNumber(sent)} of ${formatNumber(count)}`, summary: parts.join(' · ') };
  }
  if (finished < count) {
    return { title: `Processing ${countOf(count - finished)}`, summary: `${formatNumber(sent)} uploaded${problems}` };
  }
  if (!count) return { title: 'Uploads cancelled', summary: '' };
  const good = finished - failed;
  if (!failed) return { title: `${countOf(good)} uploaded`, summary: '' };
  return { title: `${countOf(failed)} failed`, summary: good ? `${formatNumber(good)} completed` : '' };
}

/**
 * Describe the speed and the time that is left.
 *
 * @param {number | null} speed bytes per second.
 * @param {number} bytes that are not sent yet.
 */
function pace(speed, bytes) {
  if (!speed) return [];
  const seconds = Math.ceil(bytes / speed);
  return [`${formatBytes(speed)}/s`, ...(seconds ? [`${formatDuration(1000 * seconds)} left`] : [])];
}

/** @param {number} count */
function countOf(count) {
  return `${formatNumber(count)} ${count === 1 ? 'file' : 'files'}`;
}

/**
 * @param {string} label
 * @param {() => void} run
 */
function textButton(label, run) {
  return el('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: run } }, label);
}

customElements.define('upload-panel', UploadPanel);
