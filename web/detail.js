// One image with everything that is known about it: a panel beside the gallery on wide screens, the whole screen elsewhere.

import { factSections, stepName } from './detail-facts.js';
import { bdi, el, fill } from './dom.js';
import { formatBytes, formatPercent, formatTime } from './format.js';
import { icon } from './icons.js';
import { lazy } from './load.js';
import { pictureMarkup, renditionAddress } from './markup.js';
import { fromRecord, hasTransparency, isPending, mergedSrcset, STATE_NAMES } from './picture.js';
import { remedyFor } from './remedy.js';
import { drawThumbhash } from './thumbhash.js';

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

const WIDE = '(width >= 1100px)';
const CALM = '(prefers-reduced-motion: reduce)';
const NEAR_END = 10;
const SWIPE = 48; // pixels
const EXPIRY_MARGIN = 30_000; // milliseconds
const LONGEST_TIMER = 3_600_000;

const loadFocusPoint = lazy(() => import('./focus-point.js'), ['focus']);

// The rest of the page stays usable while an image fills the screen.
const NEVER_INERT = 'toast-list, drop-target, conflict-dialog, input';

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
    this.#watchSwipes();
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
    this.hidden = key === null;
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

  /** Take the place beside the gallery, or all of the screen. */
  #arrange() {
    const isOpen = this.#key !== null;
    const isFull = isOpen && !this.#wide.matches;
    if (isOpen) document.documentElement.dataset.detail = isFull ? 'full' : 'side';
    else delete document.documentElement.dataset.detail;
    this.setAttribute('role', isFull ? 'dialog' : 'region');
    if (isFull) this.setAttribute('aria-modal', 'true');
    else this.removeAttribute('aria-modal');
    for (const element of document.body.children) {
      if (element === this || element.matches(NEVER_INERT) || !(element instanceof HTMLElement)) continue;
      element.inert = isFull;
    }
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
    if (!picture) {
      this.#stage.dataset.kind = 'message';
      fill(this.#stage, this.#absence());
    } else if (picture.state === 'FAILED') {
      this.#stage.dataset.kind = 'message';
      fill(this.#stage, this.#failure(picture));
    } else if (picture.state === 'DELETED') {
      this.#stage.dataset.kind = 'message';
      fill(this.#stage, message('trash', 'This upload was deleted', 'Old versions are kept for some time, so it can be restored.'));
    } else {
      this.#stage.dataset.kind = 'image';
      this.#drawImage(picture);
    }
  }

  /** Say why there is nothing to show. */
  #absence() {
    if (this.#error) {
      const retry = button('Try again', 'reprocess', () => this.#load());
      return message('alert', 'The image cannot be read', this.#error.message, retry);
    }
    if (this.#isLoading) return el('span', { class: 'spinner' });
    return message('image', 'There is no image of this name', 'It was never uploaded, or the link is wrong.');
  }

  /** @param {Picture} picture */
  #failure(picture) {
    const { session, actions, replace } = this.#parts;
    const error = picture.error ?? { code: '', message: 'The image could not be processed.', hint: '' };
    const remedy = remedyFor(picture.error);
    const help =
      remedy === 'replace'
        ? session.can('upload') && button('Replace file', 'replace', () => replace(picture.name), 'primary')
        : session.can('delete') && button('Reprocess', 'reprocess', () => void actions.reprocess([picture.key]), 'primary');
    return el(
      'div',
      { class: 'detail-message problem', attrs: { role: 'group', 'aria-label': 'Failure' } },
      icon('alert'),
      el('h3', {}, error.message),
      error.hint && el('p', {}, error.hint),
      error.step && el('p', { class: 'soft' }, `Failed in the step “${stepName(error.step)}” with `, el('code', {}, error.code), '.'),
      help,
    );
  }

  /** @param {Picture} picture */
  #drawImage(picture) {
    const { width, height } = picture;
    const frame = el('div', { class: `detail-frame ${hasTransparency(picture) ? 'transparent' : ''}` });
    if (width && height) {
      frame.style.aspectRatio = `${width} / ${height}`;
      frame.style.setProperty('--image-width', `${width}px`);
      frame.style.setProperty('--ratio', String(width / height));
    }
    const placeholder = el('canvas', { class: 'detail-placeholder', attrs: { 'aria-hidden': 'true' } });
    if (picture.thumbhash && drawThumbhash(placeholder, picture.thumbhash)) frame.append(placeholder);
    if (picture.src) {
      const moving = matchMedia(CALM).matches ? '' : picture.moving;
      const srcset = picture.src.startsWith('blob:') ? '' : moving || mergedSrcset(picture);
      const image = el('img', {
        attrs: { src: picture.src, srcset: srcset || null, sizes: `${WIDE} 40vw, 100vw`, alt: altOf(picture) },
      });
      if (image.complete) image.classList.add('loaded');
      image.addEventListener('load', () => image.classList.add('loaded'), { once: true });
      frame.append(image);
    } else if (!picture.thumbhash) {
      frame.append(icon('image'));
    }
    const state = isPending(picture) && el('p', { class: 'detail-progress' }, el('span', { class: 'spinner' }), progressOf(picture));
    fill(this.#stage, frame, state);
    if (picture.src && this.#record && !isPending(picture)) void this.#addFocusPoint(frame);
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
      if (frame.isConnected) addFocusPoint(frame, shownImage(this.#record)?.focus ?? null, session.can('upload') ? save : null);
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
    const key = /** @type {string} */ (this.#key);
    const name = picture?.name ?? key.replace(/^uploads\//, '');
    const end = name.lastIndexOf('/') + 1;
    const folder = name.slice(0, end);
    const facts = picture && [
      picture.width && picture.height ? `${picture.width} × ${picture.height}` : null,
      picture.sizeBytes === null ? null : formatBytes(picture.sizeBytes),
      picture.format,
    ];
    fill(
      this.#head,
      el('h2', { attrs: { id: 'detail-name' } }, bdi(name.slice(end) || name)),
      folder &&
        el(
          'button',
          {
            class: 'detail-folder',
            attrs: { type: 'button', title: 'Show this folder' },
            on: { click: () => this.#filter({ prefix: folder }) },
          },
          icon('folder'),
          bdi(folder),
        ),
      picture &&
        el(
          'p',
          { class: 'detail-meta' },
          el('span', { class: 'detail-state' }, el('span', { class: 'dot', attrs: { 'data-state': picture.state } }), STATE_NAMES[picture.state]),
          facts && facts.filter(Boolean).map((fact) => el('span', {}, fact)),
          picture.uploadedAt && el('time', { attrs: { datetime: picture.uploadedAt } }, formatTime(picture.uploadedAt)),
        ),
      picture?.lastFailure && this.#lastFailure(picture.lastFailure),
      picture && this.#buttons(picture, isBusy),
    );
  }

  /** @param {import('./picture.js').Problem} failure */
  #lastFailure({ message: text, hint }) {
    return el(
      'div',
      { class: 'detail-notice' },
      icon('alert'),
      el('p', {}, el('strong', {}, 'The last reprocess failed and kept this image.'), ` ${text} ${hint}`),
    );
  }

  /**
   * @param {Picture} picture
   * @param {boolean} isBusy
   */
  #buttons(picture, isBusy) {
    const { session, actions } = this.#parts;
    const { key } = picture;
    const markup = this.#markup();
    const canChange = session.can('delete');
    const isStored = picture.state !== 'DELETED' && picture.state !== 'UPLOADING';
    const isShown = picture.state !== 'DELETED' && markup;
    const buttons = [
      isShown && button('Copy <picture>', 'copy', () => this.#copy(markup, 'The <picture>'), 'primary'),
      isShown && button('Copy link', 'link', () => this.#copy(this.#mainAddress(), 'The link')),
      isStored && session.can('read') && button('Download original', 'download', () => void actions.download(key)),
      isStored && canChange && button('Reprocess', 'reprocess', () => void actions.reprocess([key])),
      isStored && canChange && button('Delete', 'trash', () => this.#delete(), 'danger'),
      picture.state === 'DELETED' && canChange && button('Restore', 'restore', () => void actions.restore([key]), 'primary'),
    ].filter((each) => each instanceof HTMLButtonElement);
    for (const each of buttons) each.disabled = isBusy;
    return el(
      'div',
      { class: 'detail-buttons', attrs: { role: 'group', 'aria-label': 'Actions' } },
      buttons,
      isShown && el('p', { class: 'detail-hint' }, this.#addressHint()),
    );
  }

  #addressHint() {
    if (this.#isPublic) return 'Copied addresses do not expire.';
    const expiresAt = shownImage(this.#record)?.renditions?.[0]?.urlExpiresAt;
    const until = expiresAt ? `at ${new Intl.DateTimeFormat(undefined, { timeStyle: 'short' }).format(new Date(expiresAt))}` : 'soon';
    return `This stack shows images only with a key, so copied addresses expire ${until}.`;
  }

  get #isPublic() {
    return this.#parts.session.access?.publicStatus ?? false;
  }

  get #addresses() {
    return { origin: location.origin, isPublic: this.#isPublic };
  }

  #markup() {
    return this.#record && pictureMarkup(/** @type {string} */ (this.#key), shownImage(this.#record), this.#addresses);
  }

  /** Return the address of the largest rendition in a format that every browser shows. */
  #mainAddress() {
    /** @type {import('./markup.js').Rendition[]} */
    const renditions = shownImage(this.#record)?.renditions ?? [];
    const common = renditions.filter(({ format }) => format === 'JPEG' || format === 'PNG');
    const [largest] = [...(common.length ? common : renditions)].reverse().sort((a, b) => b.width - a.width);
    return renditionAddress(/** @type {string} */ (this.#key), largest, this.#addresses);
  }

  #drawFacts() {
    if (!this.#record) {
      fill(this.#facts);
      return;
    }
    const sections = factSections(this.#record, {
      copy: (text, what) => this.#copy(text, what),
      addressOf: (rendition) => renditionAddress(/** @type {string} */ (this.#key), rendition, this.#addresses),
      filterByLabel: (label) => this.#filter({ label }),
    });
    fill(this.#facts, sections);
  }

  /**
   * @param {string} text
   * @param {string} what
   */
  async #copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      this.#parts.toasts.show({ text: `${what} was copied.` });
    } catch {
      this.#parts.toasts.show({ kind: 'problem', text: 'The browser does not let this page copy. Allow it in the settings of the page.' });
    }
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

  #watchSwipes() {
    /** @type {{ x: number, y: number } | null} */
    let start = null;
    this.#stage.addEventListener('pointerdown', (event) => {
      start = event.pointerType === 'mouse' || !event.isPrimary ? null : { x: event.clientX, y: event.clientY };
    });
    this.#stage.addEventListener('pointercancel', () => (start = null));
    this.#stage.addEventListener('pointerup', (event) => {
      if (!start) return;
      const across = event.clientX - start.x;
      const down = event.clientY - start.y;
      start = null;
      if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) this.#go(across > 0 ? -1 : 1);
    });
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

/** @param {Picture} picture */
function altOf({ labels, fileName }) {
  return labels.length ? labels.slice(0, 3).join(', ') : fileName;
}

/** @param {Picture} picture */
function progressOf({ state, step, progress }) {
  if (state === 'UPLOADING') return `Uploading ${formatPercent(progress ?? 0)}`;
  return step ?? (state === 'WAITING' ? 'Waiting for the pipeline' : 'Processing');
}

/**
 * @param {import('./icons.js').IconName} name
 * @param {string} title
 * @param {string} text
 * @param {Node | null} [child]
 */
function message(name, title, text, child = null) {
  return el('div', { class: 'detail-message' }, icon(name), el('h3', {}, title), el('p', {}, text), child);
}

/**
 * @param {string} label
 * @param {import('./icons.js').IconName} name
 * @param {() => void} run
 * @param {string} [className]
 */
function button(label, name, run, className = '') {
  return el('button', { class: `button small ${className}`, attrs: { type: 'button' }, on: { click: run } }, icon(name), label);
}

/**
 * @param {string} label
 * @param {import('./icons.js').IconName} name
 * @param {() => void} run
 */
function iconButton(label, name, run) {
  return el(
    'button',
    { class: 'icon-button', attrs: { type: 'button', 'aria-label': label, title: label }, on: { click: run } },
    icon(name),
  );
}

customElements.define('image-detail', ImageDetail);
