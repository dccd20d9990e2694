// All pictures in justified rows, by day. Only the rows near the viewport are in the DOM.

import { el } from './dom.js';
import { formatDay } from './format.js';
import { groupByDay, justify } from './layout.js';
import { ImageTile } from './tile.js';

/**
 * @typedef {import('./picture.js').Picture} Picture
 * @typedef {import('./layout.js').Box} Box
 * @typedef {import('./layout.js').Row} Row
 *
 * @typedef {object} Section a day with its place.
 * @property {string} id
 * @property {Date} date
 * @property {number} top
 * @property {number} height
 * @property {Row[]} rows
 *
 * @typedef {{ section: Section, box: Box, index: number }} Place
 * @typedef {{ element: HTMLElement, list: HTMLElement }} DayView
 *
 * @typedef {object} Parts
 * @property {import('./listing.js').Listing} listing
 * @property {import('./query.js').Query} query
 * @property {import('./session.js').Session} session
 * @property {import('./selection.js').Selection} selection
 */

const GAP = 8;
const HEADING = 44;
const DAY_GAP = 20;
const OVERSCAN = 700;
const NEAR_END = 2400;
const FAST = 4000; // pixels per second
const CALM = 120; // milliseconds

/** Emits `picture-action` with `detail: { action, key }`. */
export class ImageGallery extends HTMLElement {
  /** @type {Parts} */
  #parts = /** @type {any} */ (null);

  /** @type {Section[]} */
  #sections = [];

  /** @type {Map<string, Place>} */
  #places = new Map();

  /** @type {Map<string, ImageTile>} */
  #tiles = new Map();

  /** @type {Map<string, DayView>} */
  #days = new Map();

  /** @type {string | null} The picture that Tab reaches. */
  #current = null;

  /** How far below the viewport pictures must be listed. */
  #ahead = 0;

  #width = 0;
  #height = 0;
  #filters = {};
  #planned = 0;
  #version = 0;
  #isArranged = false;
  #last = { top: 0, at: 0 };
  #calm = 0;

  /** @param {Parts} parts */
  connect(parts) {
    this.#parts = parts;
    parts.listing.addEventListener('change', (event) => this.#follow(/** @type {CustomEvent} */ (event).detail));
    for (const [source, type] of /** @type {[EventTarget, string][]} */ ([
      [parts.selection, 'change'],
      [parts.session, 'change'],
      [parts.query, 'image'],
    ])) {
      source.addEventListener(type, () => this.#showAgain());
    }
    new ResizeObserver(([entry]) => this.#resize(entry.contentRect.width)).observe(this);
    addEventListener('scroll', () => this.#scrolled(), { passive: true });
    addEventListener('resize', () => this.#showAgain());
    this.addEventListener('click', (event) => this.#click(event));
    this.addEventListener('keydown', (event) => this.#key(event));
    this.addEventListener('focusin', (event) => this.#focused(event));
    this.addEventListener('tile-select', (event) => this.#selected(/** @type {CustomEvent} */ (event).detail));
  }

  /** From now on, list pictures before somebody scrolls to them. */
  lookAhead() {
    this.#ahead = NEAR_END;
    this.#plan();
  }

  /**
   * Show a picture and move the focus to it.
   *
   * @param {string} key
   */
  focusOn(key) {
    const place = this.#places.get(key);
    if (!place) return;
    this.#current = key;
    this.#version += 1;
    this.#scrollTo(place);
    this.#render();
    this.#tiles.get(key)?.target.focus({ preventScroll: true });
  }

  /** @returns {string[]} All keys in the order of the gallery. */
  get order() {
    return this.#parts.listing.pictures.map(({ key }) => key);
  }

  /** @param {{ key: string | null, moved: boolean }} change */
  #follow({ moved }) {
    if (moved) this.#isArranged = false;
    this.#showAgain();
  }

  /** Render, and let all tiles compare what they show. While somebody scrolls, only new tiles have work to do. */
  #showAgain() {
    this.#version += 1;
    this.#plan();
  }

  /** @param {number} width */
  #resize(width) {
    if (width === this.#width) return;
    this.#width = width;
    this.#isArranged = false;
    this.#showAgain();
  }

  /** Render once before the next frame. */
  #plan() {
    if (this.#planned) return;
    this.#planned = requestAnimationFrame(() => {
      this.#planned = 0;
      if (!this.#isArranged && this.#width > 0) this.#arrange();
      this.#render();
    });
  }

  #scrolled() {
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => this.#plan(), CALM);
    this.#plan();
  }

  /** Compute all places again. What the user looks at stays where it is. */
  #arrange() {
    const { listing } = this.#parts;
    const isOther = listing.filters !== this.#filters;
    const anchor = isOther ? null : this.#anchor();
    const known = this.#places;
    this.#filters = listing.filters;
    this.#places = new Map();
    this.#isArranged = true;

    let top = 0;
    let index = 0;
    const options = { height: rowHeight(this.#width), gap: GAP };
    this.#sections = groupByDay(listing.pictures).map(({ id, date, pictures }) => {
      const rows = justify(pictures, this.#width, options);
      const last = rows[rows.length - 1];
      const section = { id, date, rows, top, height: HEADING + last.top + last.height };
      for (const { boxes } of rows) for (const box of boxes) this.#places.set(box.picture.key, { section, box, index: index++ });
      top += section.height + DAY_GAP;
      return section;
    });
    this.#height = Math.max(0, top - DAY_GAP);
    this.style.height = `${this.#height}px`;
    this.#markArrivals(known);
    if (isOther) scrollTo({ top: 0 });
    else if (anchor) this.#restore(anchor);
  }

  /**
   * Let new pictures appear softly, but not the whole gallery.
   *
   * @param {Map<string, Place>} known
   */
  #markArrivals(known) {
    if (known.size === 0) return;
    for (const { key } of this.#parts.listing.pictures.slice(0, 40)) {
      if (!known.has(key) && !this.#tiles.has(key)) this.#tile(key).classList.add('arrives');
    }
  }

  /** Return the picture that stays in its place, and how far it is from the top: the current one, or the first one. */
  #anchor() {
    if (scrollY < 16) return null;
    const current = this.#current === null ? undefined : this.#tiles.get(this.#current);
    for (const tile of current ? [current, ...this.#tiles.values()] : this.#tiles.values()) {
      const { top, bottom } = tile.getBoundingClientRect();
      if (bottom > HEADING && top < innerHeight) return { key: tile.dataset.key ?? '', top };
    }
    return null;
  }

  /** @param {{ key: string, top: number }} anchor */
  #restore({ key, top }) {
    const place = this.#places.get(key);
    if (!place) return;
    const now = this.#offset() + place.section.top + HEADING + place.box.top - scrollY;
    if (Math.abs(now - top) > 1) scrollBy({ top: now - top, behavior: 'instant' });
  }

  /** Return where the gallery begins in the page. */
  #offset() {
    return this.getBoundingClientRect().top + scrollY;
  }

  #render() {
    const top = scrollY - this.#offset();
    const isCalm = this.#isCalm(top);
    /** @type {Map<string, Box[]>} */
    const visible = new Map();
    for (const section of between(this.#sections, top - OVERSCAN, top + innerHeight + OVERSCAN)) {
      const inner = top - section.top - HEADING;
      visible.set(section.id, between(section.rows, inner - OVERSCAN, inner + innerHeight + OVERSCAN).flatMap((row) => row.boxes));
    }
    this.#keepFocused(visible);
    this.#removeOthers(visible);
    if (this.#current === null || !this.#places.has(this.#current)) {
      this.#current = this.#parts.listing.pictures[0]?.key ?? null;
      this.#version += 1;
    }
    for (const section of this.#sections) {
      const boxes = visible.get(section.id);
      if (boxes) this.#renderDay(section, boxes, isCalm);
    }
    if (top + innerHeight + this.#ahead > this.#height && this.#parts.listing.error === null) this.#parts.listing.loadMore();
  }

  /**
   * Return whether pictures may load: not those that the user only passes.
   *
   * @param {number} top
   */
  #isCalm(top) {
    const now = performance.now();
    const speed = (Math.abs(top - this.#last.top) / Math.max(1, now - this.#last.at)) * 1000;
    this.#last = { top, at: now };
    return speed < FAST;
  }

  /**
   * Keep the tile that has the focus, wherever it is.
   *
   * @param {Map<string, Box[]>} visible
   */
  #keepFocused(visible) {
    const key = /** @type {HTMLElement | null} */ (document.activeElement?.closest('image-tile'))?.dataset.key;
    const place = key === undefined ? undefined : this.#places.get(key);
    if (!place) return;
    const boxes = visible.get(place.section.id) ?? [];
    if (boxes.includes(place.box)) return;
    visible.set(place.section.id, [...boxes, place.box].sort((a, b) => a.top - b.top || a.left - b.left));
  }

  /** @param {Map<string, Box[]>} visible */
  #removeOthers(visible) {
    const keys = new Set([...visible.values()].flatMap((boxes) => boxes.map(({ picture }) => picture.key)));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      tile.release();
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const [id, { element }] of this.#days) {
      if (visible.has(id)) continue;
      element.remove();
      this.#days.delete(id);
    }
  }

  /**
   * @param {Section} section
   * @param {Box[]} boxes
   * @param {boolean} isCalm
   */
  #renderDay(section, boxes, isCalm) {
    const { element, list } = this.#day(section);
    element.style.top = `${section.top}px`;
    element.style.height = `${section.height}px`;
    const { listing, query, session, selection } = this.#parts;
    const count = listing.complete ? listing.pictures.length : -1;
    /** @type {Element | null} */
    let next = list.firstElementChild;
    for (const box of boxes) {
      const { key } = box.picture;
      const tile = this.#tile(key);
      if (tile.version !== this.#version || (isCalm && !tile.loads)) {
        tile.version = this.#version;
        tile.loads = isCalm;
        tile.show(listing.find(key) ?? box.picture, box, {
          href: query.linkTo(key),
          selected: selection.keys.has(key),
          opened: key === query.image,
          selectable: session.can('delete'),
          reachable: key === this.#current,
          canUpload: session.can('upload'),
          canChange: session.can('delete'),
          position: (this.#places.get(key)?.index ?? 0) + 1,
          count,
        });
      }
      if (tile === next) next = next.nextElementSibling;
      else list.insertBefore(tile, next);
    }
  }

  /** @param {string} key */
  #tile(key) {
    let tile = this.#tiles.get(key);
    if (!tile) {
      tile = new ImageTile();
      this.#tiles.set(key, tile);
    }
    return tile;
  }

  /**
   * @param {Section} section
   * @returns {DayView}
   */
  #day({ id, date }) {
    let day = this.#days.get(id);
    if (!day) {
      const title = el('h2', { class: 'day-title', attrs: { id: `day-${id}` } }, formatDay(date));
      const list = el('div', { class: 'day-pictures', attrs: { role: 'list', 'aria-labelledby': `day-${id}` } });
      const element = el('section', { class: 'day' }, title, list);
      const after = [...this.#days].find(([other]) => this.#isBefore(id, other))?.[1].element ?? null;
      this.insertBefore(element, after);
      day = { element, list };
      this.#days.set(id, day);
    }
    return day;
  }

  /**
   * @param {string} id
   * @param {string} other
   */
  #isBefore(id, other) {
    const ids = this.#sections.map((section) => section.id);
    return ids.indexOf(id) < ids.indexOf(other);
  }

  // What the user does

  /** @param {MouseEvent} event */
  #click(event) {
    const link = /** @type {Element} */ (event.target).closest('.tile-link');
    const key = keyOf(link);
    if (key === null || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    const { selection, session, query } = this.#parts;
    const selects = session.can('delete') && (event.shiftKey || selection.keys.size > 0);
    if (selects) this.#selected({ key, extend: event.shiftKey });
    else query.open(key);
  }

  /** @param {{ key: string, extend: boolean }} choice */
  #selected({ key, extend }) {
    if (extend) this.#parts.selection.extendTo(key, this.order);
    else this.#parts.selection.toggle(key);
  }

  /** @param {FocusEvent} event */
  #focused(event) {
    const key = keyOf(/** @type {Element} */ (event.target));
    if (key === null || key === this.#current) return;
    this.#current = key;
    this.#showAgain();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const key = keyOf(/** @type {Element} */ (event.target));
    const isOnTile = /** @type {Element} */ (event.target).matches('.tile-link');
    if (key === null || !isOnTile || event.altKey) return;
    if (this.#command(event, key)) {
      event.preventDefault();
      return;
    }
    const goal = event.ctrlKey || event.metaKey ? null : this.#goal(event.key, key);
    if (goal === null) return;
    event.preventDefault();
    this.focusOn(goal);
    if (event.shiftKey && this.#parts.session.can('delete')) this.#extend(key, goal);
  }

  /**
   * Extend the selection from one picture to another.
   *
   * @param {string} from
   * @param {string} to
   */
  #extend(from, to) {
    const { selection } = this.#parts;
    if (selection.keys.size === 0) selection.toggle(from);
    selection.extendTo(to, this.order);
  }

  /**
   * @param {KeyboardEvent} event
   * @param {string} key
   * @returns {boolean} whether the key was a command.
   */
  #command(event, key) {
    const { selection, session } = this.#parts;
    if (event.key === 'Escape' && selection.keys.size > 0) selection.clear();
    else if (!session.can('delete')) return false;
    else if (event.key === ' ') this.#selected({ key, extend: event.shiftKey });
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) selection.replace(this.order);
    else if (event.key === 'Delete') this.dispatchEvent(new CustomEvent('picture-action', { bubbles: true, detail: { action: 'delete', key } }));
    else return false;
    return true;
  }

  /**
   * Return the picture to which a key leads.
   *
   * @param {string} pressed
   * @param {string} key
   * @returns {string | null}
   */
  #goal(pressed, key) {
    const { pictures } = this.#parts.listing;
    const place = this.#places.get(key);
    if (!place) return null;
    const isRightToLeft = getComputedStyle(this).direction === 'rtl';
    const step = isRightToLeft ? -1 : 1;
    if (pressed === 'ArrowRight') return pictures[place.index + step]?.key ?? null;
    if (pressed === 'ArrowLeft') return pictures[place.index - step]?.key ?? null;
    if (pressed === 'ArrowDown') return this.#inNextRow(place, 1);
    if (pressed === 'ArrowUp') return this.#inNextRow(place, -1);
    if (pressed === 'Home') return pictures[0]?.key ?? null;
    if (pressed === 'End') return pictures.at(-1)?.key ?? null;
    return null;
  }

  /**
   * Return the picture above or below.
   *
   * @param {Place} place
   * @param {1 | -1} step
   */
  #inNextRow({ section, box }, step) {
    const rows = this.#sections.flatMap((each) => each.rows);
    const row = rows[rows.findIndex(({ boxes }) => boxes.includes(box)) + step];
    if (!row || section.rows.length === 0) return null;
    const middle = box.left + box.width / 2;
    const distance = (/** @type {Box} */ { left, width }) => Math.abs(left + width / 2 - middle);
    return row.boxes.reduce((best, each) => (distance(each) < distance(best) ? each : best)).picture.key;
  }

  /** @param {Place} place */
  #scrollTo({ section, box }) {
    const top = this.#offset() + section.top + HEADING + box.top;
    const first = scrollY + Math.max(0, this.#offset()) + HEADING;
    if (top < first) scrollTo({ top: top - this.#offset() - HEADING - GAP });
    else if (top + box.height > scrollY + innerHeight) scrollTo({ top: top + box.height - innerHeight + 2 * GAP });
  }
}

customElements.define('image-gallery', ImageGallery);

/**
 * Return the height that rows should have. Narrow screens show at least two pictures in a row.
 *
 * @param {number} width
 */
function rowHeight(width) {
  if (width < 560) return 124;
  if (width < 900) return 160;
  return width > 2000 ? 208 : 184;
}

/**
 * Return the items that overlap a range, in a list that is sorted by place.
 *
 * @template {{ top: number, height: number }} Item
 * @param {Item[]} items
 * @param {number} top
 * @param {number} bottom
 */
function between(items, top, bottom) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].top + items[middle].height < top) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < items.length && items[end].top < bottom) end += 1;
  return items.slice(low, end);
}

/** @param {Element | null} element */
function keyOf(element) {
  return /** @type {HTMLElement | null} */ (element?.closest('image-tile') ?? null)?.dataset.key ?? null;
}
