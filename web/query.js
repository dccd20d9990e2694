// What the page shows, in its address: the filters and the opened image. Back and forward work, and a link can be shared.

import { UPLOADS, nameOf } from './picture.js';

/**
 * @typedef {object} Filters
 * @property {string} [status]
 * @property {string} [label]
 * @property {string} [prefix] a folder with a trailing slash.
 * @property {string} [from] the first day, as `2026-11-21`, in the time zone of the browser.
 * @property {string} [to] the last day.
 */

const NAMES = /** @type {const} */ (['status', 'label', 'prefix', 'from', 'to']);
const STATUSES = ['PROCESSING', 'COMPLETED', 'PARTIAL', 'FAILED', 'DELETED'];
const DAY = /^\d{4}-\d\d-\d\d$/;

/** Emits `filters` when the filters change, and `image` when another image is opened or none. */
export class Query extends EventTarget {
  /** @type {Filters} */
  filters = {};

  /** @type {string | null} The key of the opened image. */
  image = null;

  constructor() {
    super();
    this.#read();
    addEventListener('popstate', () => this.#read());
  }

  /** Return whether any filter is set. */
  get isFiltered() {
    return Object.keys(this.filters).length > 0;
  }

  /**
   * Change some filters; an empty value removes a filter.
   *
   * @param {Filters} changes
   */
  set(changes) {
    this.#go({ ...this.filters, ...changes }, this.image);
  }

  clear() {
    this.#go({}, this.image);
  }

  /**
   * Open an image. Going from image to image leaves one step in the history, so that "back" leads to the gallery.
   *
   * @param {string} key
   */
  open(key) {
    this.#go(this.filters, key, this.image !== null);
  }

  close() {
    if (this.image === null) return;
    if (history.state?.opened) history.back();
    else this.#go(this.filters, null, true);
  }

  /**
   * Return the address that shows an image with the present filters.
   *
   * @param {string} key
   */
  linkTo(key) {
    return addressOf(this.filters, key);
  }

  /**
   * @param {Filters} filters
   * @param {string | null} image
   */
  #go(filters, image, replace = false) {
    const opened = image !== null && (replace ? history.state?.opened === true : this.image === null);
    const address = addressOf(filters, image);
    if (replace) history.replaceState({ opened }, '', address);
    else history.pushState({ opened }, '', address);
    this.#read();
  }

  #read() {
    const parameters = new URLSearchParams(location.search);
    const filters = readFilters(parameters);
    const name = parameters.get('image');
    const image = name === null ? null : UPLOADS + name;
    const filtersChanged = JSON.stringify(filters) !== JSON.stringify(this.filters);
    const imageChanged = image !== this.image;
    this.filters = filters;
    this.image = image;
    if (filtersChanged) this.dispatchEvent(new Event('filters'));
    if (imageChanged) this.dispatchEvent(new Event('image'));
  }
}

/** @param {URLSearchParams} parameters */
function readFilters(parameters) {
  /** @type {Filters} */
  const filters = {};
  for (const name of NAMES) {
    const value = parameters.get(name);
    if (value && isValid(name, value)) filters[name] = value;
  }
  return filters;
}

/**
 * @param {(typeof NAMES)[number]} name
 * @param {string} value
 */
function isValid(name, value) {
  if (name === 'status') return STATUSES.includes(value);
  if (name === 'from' || name === 'to') return DAY.test(value) && !Number.isNaN(Date.parse(value));
  return true;
}

/**
 * @param {Filters} filters
 * @param {string | null} image
 */
function addressOf(filters, image) {
  const parameters = new URLSearchParams();
  for (const name of NAMES) if (filters[name]) parameters.set(name, filters[name]);
  if (image !== null) parameters.set('image', nameOf(image));
  const text = parameters.toString().replaceAll('%2F', '/');
  return location.pathname + (text ? `?${text}` : '');
}

/**
 * Return the filters as parameters of the API: days become instants.
 *
 * @param {Filters} filters
 * @returns {Record<string, string>}
 */
export function toParameters(filters) {
  /** @type {Record<string, string>} */
  const parameters = {};
  const { status, label, prefix } = filters;
  if (status) parameters.status = status;
  if (label) parameters.label = label;
  if (prefix) parameters.prefix = prefix;
  if (filters.from) parameters.from = startOf(filters.from, 0).toISOString();
  if (filters.to) parameters.to = startOf(filters.to, 1).toISOString();
  return parameters;
}

/**
 * Return whether an image belongs to what the filters show, as the API decides it.
 *
 * @param {import('./picture.js').Picture} picture
 * @param {Filters} filters
 */
export function matches(picture, { status, label, prefix, from, to }) {
  const state = picture.state === 'UPLOADING' || picture.state === 'WAITING' ? 'PROCESSING' : picture.state;
  const uploaded = picture.uploadedAt === null ? Date.now() : Date.parse(picture.uploadedAt);
  return (
    (status ? state === status : state !== 'DELETED') &&
    (!label || picture.labels.some((name) => name.toLowerCase() === label.toLowerCase())) &&
    (!prefix || picture.name.startsWith(prefix)) &&
    (!from || uploaded >= startOf(from, 0).getTime()) &&
    (!to || uploaded < startOf(to, 1).getTime())
  );
}

/**
 * Return the first moment of a day, or of a day after it.
 *
 * @param {string} day
 * @param {number} daysLater
 */
function startOf(day, daysLater) {
  const [year, month, date] = day.split('-').map(Number);
  return new Date(year, month - 1, date + daysLater);
}
