// One image with everything that is known about it: a panel beside the gallery on wide screens, the whole screen elsewhere.

import { iconButton } from './buttons.js';
import { Copies } from './copies.js';
import { factSections } from './detail-facts.js';
import { headContent } from './detail-head.js';
import { placeDetail, WIDE } from './detail-place.js';
import { absence, explanation, pictureFrame, pictureProgress } from './detail-stage.js';
import { el, fill } from './dom.js';
import { lazy } from './load.js';
import { fromRecord, isPending } from './picture.js';
import { watchSwipes } from './swipe.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 *
 * @typedef {object} Parts
 * @property {import('./api.js').Api} api
 * @property {import('./session.js').Session} session
 * @property {import('./query.js').Query} query
 * @property {import('./listing.js').Listing} listing
 * @property {import('./statuses.js').Statuses} statuses
 * @property {import('./selection.js').Selection} selection
 * @property {import('./actions.js').Actions} actions
 * @property {import('./toast.js').ToastList} toasts
 * @property {(name: string) => void} replace chooses another file for a name.
 * @property {(key: string) => void} focusOn moves the focus to the tile of an image.
 */

const NEAR_END = 10;
const EXPIRY_MARGIN = 30_000; // milliseconds
const LONGEST_TIMER = 3_600_000;

const loadFocusPoint = lazy(() => import('./focus-point.js'), ['focus']);

export class ImageDetail extends HTMLElement {
  #parts;
  #wide = matchMedia(WIDE);

  /** @type {string | null} */
  #key = null;

  /** @type {any} */
  #record = null;

  /** @type {Error | null} */
  #error = null;

  #isLoading = false;

  /** The image whose new focus is being rendered. @type {string | null} */
  #awaited = null;

  /** Where the image is, or was, in the listing. */
  #index = 0;

  /** What the stage and the head show, to draw them only when something changed. */
  #drawn = '';
  #request = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;

  #position = el('p', { class: 'detail-position' });
  #previous = iconButton('Previous image', 'chevron-left', () => this.#go(-1));
  #next = iconButton('Next image', 'chevron-right', () => this.#go(1));
  #stage = el('div', { class: 'detail-stage' });
  #head = el('div', { class: 'detail-head' });
  #facts = el('div', { class: 'detail-facts' });
  #scroll = el('div', { class: 'detail-scroll' }, this.#stage, this.#head, this.#facts);

  /** @param {Parts} parts */
  constructor(parts) {
    super();
    this.#parts = parts;
  }

  connectedCallback() {
    const { actions, listing, query, session } = this.#parts;
    this.hidden = true;
    this.tabIndex = -1;
    this.setAttribute('aria-labelledby', 'detail-name');
    this.append(
      el(
        'div', // a header in a region would be a banner
        { class: 'detail-bar' },
        iconButton('Close', 'close', () => query.close()),
        this.#position,
        this.#previous,
        this.#next,
      ),
      this.#scroll,
    );
    query.addEventListener('image', () => this.#follow());
    session.addEventListener('change', () => this.#follow());
    listing.addEventListener('change', (event) => {
      const { key } = /** @type {CustomEvent<{ key: string | null }>} */ (event).detail;
      if (this.#key !== null && (key === null || key === this.#key)) this.#compare();
    });
    actions.addEventListener('change', () => this.#draw());
    this.#wide.addEventListener('change', () => this.#arrange());
    this.addEventListener('keydown', (event) => this.#press(event));
    addEventListener('keydown', (event) => this.#escape(event));
    watchSwipes(this.#stage, (step) => this.#go(step));
    this.#follow();
  }

  /** Open what the address names, or close. */
  #follow() {
    const { query, session } = this.#parts;
    const key = session.state === 'signed-out' || !session.can('read') ? null : query.image;
    if (key === this.#key) return;
    const before = this.#key;
    this.#key = key;
    this.#record = null;
    this.#error = null;
    this.#drawn = '';
    this.#request.abort();
    clearTimeout(this.#renewal);
    this.#arrange();
    if (key === null) {
      fill(this.#stage);
      if (before !== null) this.#parts.focusOn(before);
      return;
    }
    this.#scroll.scrollTop = 0;
    fill(this.#facts);
    this.#isLoading = true;
    this.#draw();
    if (before === null) this.focus({ preventScroll: true });
    this.#load();
  }

  #arrange() {
    if (this.#key === null) placeDetail(this, 'closed');
    else placeDetail(this, this.#wide.matches ? 'side' : 'full');
  }

  async #load() {
    const key = /** @type {string} */ (this.#key);
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    const { api, listing, statuses } = this.#parts;
    try {
      const { record } = await api.status(key, { signal });
      if (signal.aborted) return;
      this.#record = record;
      this.#error = null;
      this.#isLoading = false;
      if (record && !listing.find(key)) {
        listing.upsert(fromRecord(record));
        if (record.status === 'PROCESSING') statuses.watch(key);
      }
      this.#renewBeforeExpiry();
    } catch (error) {
      if (signal.aborted) return;
      this.#error = /** @type {Error} */ (error);
    }
    this.#isLoading = false;
    this.#drawn = '';
    this.#draw();
    this.#drawFacts();
  }

  /** Read the record again before its URLs expire, so that every copied link works. */
  #renewBeforeExpiry() {
    clearTimeout(this.#renewal);
    const rendition = shownImage(this.#record)?.renditions?.[0];
    if (!rendition) return;
    const left = Date.parse(rendition.urlExpiresAt) - Date.now() - EXPIRY_MARGIN;
    this.#renewal = setTimeout(() => this.#load(), Math.min(LONGEST_TIMER, Math.max(left, EXPIRY_MARGIN)));
  }

  /** The listing changed: read the record again when the image got another outcome. */
  #compare() {
    const known = this.#parts.listing.find(/** @type {string} */ (this.#key));
    const hasOutcome = known && !isPending(known) && this.#record && known.state !== this.#record.status;
    const isOther = known?.versionId && this.#record?.upload?.versionId && known.versionId !== this.#record.upload.versionId;
    this.#draw();
    const isRendered = this.#awaited === this.#key && known && !isPending(known);
    if (isRendered) this.#awaited = null;
    if (hasOutcome || isRendered || (isOther && known && !isPending(known))) this.#load();
  }

  /** Return the image as the page knows it now. @returns {Picture | null} */
  #picture() {
    const known = this.#key === null ? undefined : this.#parts.listing.find(this.#key);
    if (!this.#record) return known ?? null;
    const recorded = fromRecord(this.#record);
    if (!known || !isPending(known)) return recorded;
    const isLocal = known.src?.startsWith('blob:');
    return { ...recorded, state: known.state, step: known.step, progress: known.progress, ...(isLocal && localView(known)) };
  }

  #draw() {
    if (this.#key === null) return;
    this.#drawPosition();
    const { session, actions } = this.#parts;
    const picture = this.#picture();
    const isBusy = actions.busy.has(this.#key);
    const access = session.access;
    const shown = JSON.stringify([picture, isBusy, access, this.#error?.message, this.#isLoading, Boolean(this.#record)]);
    if (shown === this.#drawn) return;
    this.#drawn = shown;
    this.#drawStage(picture);
    this.#drawHead(picture, isBusy);
  }

  #drawPosition() {
    const { pictures } = this.#parts.listing;
    const index = pictures.findIndex(({ key }) => key === this.#key);
    if (index >= 0) this.#index = index;
    this.#previous.disabled = !this.#neighbour(-1);
    this.#next.disabled = !this.#neighbour(1);
    // A disabled button loses the focus, and the arrow keys would end at the last image.
    if (this.contains(document.activeElement) && document.activeElement?.matches(':disabled')) this.focus({ preventScroll: true });
    this.#position.textContent = index < 0 ? '' : `${index + 1} of ${pictures.length}${this.#parts.listing.complete ? '' : '+'}`;
  }

  /** @param {Picture | null} picture */
  #drawStage(picture) {
    const isShown = picture && picture.state !== 'FAILED' && picture.state !== 'DELETED';
    this.#stage.dataset.kind = isShown ? 'image' : 'message';
    if (isShown) {
      const frame = pictureFrame(picture, this.#stage.querySelector('.detail-frame img'));
      fill(this.#stage, frame, pictureProgress(picture));
      if (picture.src && this.#record && !isPending(picture)) void this.#addFocusPoint(frame);
    } else if (picture) {
      fill(this.#stage, explanation(picture, this.#parts));
    } else {
      fill(this.#stage, absence({ error: this.#error, isLoading: this.#isLoading, retry: () => this.#load() }));
    }
  }

  /** @param {HTMLElement} frame */
  async #addFocusPoint(frame) {
    const { session, actions, api, toasts } = this.#parts;
    const key = /** @type {string} */ (this.#key);
    const save = async (/** @type {import('./focus-point.js').Point | null} */ point) => {
      await actions.reprocess([key], () => api.setFocus(key, point));
      this.#awaited = key;
      this.#compare();
    };
    try {
      const { addFocusPoint } = await loadFocusPoint();
      if (frame.isConnected) addFocusPoint({ frame, stage: this.#stage }, shownImage(this.#record)?.focus ?? null, session.can('upload') ? save : null);
    } catch (error) {
      console.warn(error);
      const reload = { label: 'Reload', run: () => location.reload() };
      toasts.show({ kind: 'problem', text: 'The focus could not be loaded.', actions: [reload], about: 'focus' });
    }
  }

  /**
   * @param {Picture | null} picture
   * @param {boolean} isBusy
   */
  #drawHead(picture, isBusy) {
    const { session, actions } = this.#parts;
    const copies = this.#copies();
    const view = { key: /** @type {string} */ (this.#key), picture, isBusy };
    const uses = {
      session,
      actions,
      copies: copies?.exist ? copies : null,
      showFolder: (/** @type {string} */ prefix) => this.#filter({ prefix }),
      remove: () => this.#delete(),
    };
    fill(this.#head, headContent(view, uses));
  }

  #drawFacts() {
    const copies = this.#copies();
    const filterByLabel = (/** @type {string} */ label) => this.#filter({ label });
    fill(this.#facts, copies && factSections(this.#record, { copies, filterByLabel }));
  }

  #copies() {
    const { session, toasts } = this.#parts;
    const key = /** @type {string} */ (this.#key);
    return this.#record ? new Copies({ key, image: shownImage(this.#record), session, toasts }) : null;
  }

  /**
   * Filter the gallery. Where it is hidden, close first; going back in the history takes a moment.
   *
   * @param {import('./query.js').Filters} filters
   */
  #filter(filters) {
    const { query } = this.#parts;
    if (this.#wide.matches) {
      query.set(filters);
      return;
    }
    query.addEventListener('image', () => query.set(filters), { once: true });
    query.close();
  }

  /** Delete the image, and go to the next one. */
  #delete() {
    const { actions, listing, query } = this.#parts;
    const key = /** @type {string} */ (this.#key);
    const isListed = listing.pictures.some((picture) => picture.key === key);
    const next = this.#neighbour(1) ?? this.#neighbour(-1);
    void actions.remove([key]);
    if (isListed && next) query.open(next.key);
    else if (isListed) query.close();
  }

  /**
   * Return the picture before or after this one. A picture that left the listing is missed at its place.
   *
   * @param {-1 | 1} step
   */
  #neighbour(step) {
    const { pictures } = this.#parts.listing;
    const isListed = pictures[this.#index]?.key === this.#key;
    return pictures[this.#index + (isListed || step < 0 ? step : 0)] ?? null;
  }

  /** @param {-1 | 1} step */
  #go(step) {
    const { listing, query } = this.#parts;
    const target = this.#neighbour(step);
    if (target) query.open(target.key);
    if (this.#index + NEAR_END > listing.pictures.length) void listing.loadMore();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!isPlain || /** @type {Element} */ (event.target).closest('pre, input, textarea')) return;
    if (event.key === 'ArrowLeft') this.#go(-1);
    else if (event.key === 'ArrowRight') this.#go(1);
    else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #escape(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || this.#key === null) return;
    const isElsewhere = document.querySelector('dialog[open], .menu:popover-open') !== null;
    if (isElsewhere || (this.#parts.selection.size > 0 && !this.contains(document.activeElement))) return;
    event.preventDefault();
    this.#parts.query.close();
  }
}

/**
 * Return the part of a record that describes the processed image.
 *
 * @param {any} record
 */
function shownImage(record) {
  return record?.previous ?? record;
}

/** @param {Picture} picture */
function localView({ src, width, height }) {
  return { src, srcsets: {}, width, height };
}

customElements.define('image-detail', ImageDetail);
