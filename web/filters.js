// The chips that filter the gallery: status, label, folder and date.

import { bdi, el, fill, isolated } from './dom.js';
import { printable } from './format.js';
import { icon } from './icons.js';
import { attachMenu, closeMenuOf, menuItem } from './menu.js';
import { STATE_NAMES } from './picture.js';

/**
 * @typedef {import('./query.js').Filters} Filters
 *
 * @typedef {object} Chip
 * @property {string} name
 * @property {import('./icons.js').IconName} icon
 * @property {(filters: Filters) => string | null} value what is set, for people.
 * @property {Filters} none the change that removes the filter.
 * @property {() => (Node | null | false)[]} menu
 */

/** Those that the API filters by. @type {import('./picture.js').State[]} */
const STATES = ['COMPLETED', 'PARTIAL', 'FAILED', 'PROCESSING', 'DELETED'];
const SUGGESTIONS = 12;

export class FilterBar extends HTMLElement {
  #query;
  #listing;
  #session;

  /**
   * @param {object} parts
   * @param {import('./query.js').Query} parts.query
   * @param {import('./listing.js').Listing} parts.listing
   * @param {import('./session.js').Session} parts.session
   */
  constructor({ query, listing, session }) {
    super();
    this.#query = query;
    this.#listing = listing;
    this.#session = session;
  }

  connectedCallback() {
    this.className = 'filters';
    this.setAttribute('role', 'group');
    this.setAttribute('aria-label', 'Filters');
    this.#query.addEventListener('filters', () => this.#draw());
    this.#session.addEventListener('change', () => this.#draw());
    this.#draw();
  }

  #draw() {
    const focused = this.contains(document.activeElement) ? document.activeElement?.closest('.chip') : null;
    const name = focused instanceof HTMLElement ? focused.dataset.filter : undefined;
    const { filters } = this.#query;
    const active = Object.keys(filters).length;
    fill(
      this,
      this.#chips().map((chip) => this.#chip(chip)),
      active > 1 && el('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: () => this.#query.clear() } }, 'Clear filters'),
    );
    if (name) /** @type {HTMLElement | null} */ (this.querySelector(`[data-filter="${name}"] .chip-button`))?.focus();
  }

  /** @returns {Chip[]} */
  #chips() {
    /** @type {Chip[]} */
    const chips = [
      {
        name: 'Status',
        icon: 'check',
        value: ({ status }) => (status ? STATE_NAMES[/** @type {import('./picture.js').State} */ (status)] : null),
        none: { status: '' },
        menu: () => this.#statusMenu(),
      },
      {
        name: 'Label',
        icon: 'tag',
        value: ({ label }) => (label ? printable(label) : null),
        none: { label: '' },
        menu: () => this.#textMenu('label', 'Label', 'Such as dog', this.#labels()),
      },
      {
        name: 'Folder',
        icon: 'folder',
        value: ({ prefix }) => (prefix ? printable(prefix) : null),
        none: { prefix: '' },
        menu: () => this.#textMenu('prefix', 'Folder', 'Such as summer/', this.#folders()),
      },
      {
        name: 'Date',
        icon: 'calendar',
        value: ({ from, to }) => describeDays(from, to),
        none: { from: '', to: '' },
        menu: () => this.#dateMenu(),
      },
    ];
    return chips;
  }

  /** @param {Chip} chip */
  #chip({ name, icon: picture, value, none, menu }) {
    const text = value(this.#query.filters);
    const { status } = this.#query.filters;
    const sign = name === 'Status' && status ? el('span', { class: 'dot', attrs: { 'data-state': status } }) : icon(picture);
    const button = el(
      'button',
      { class: 'chip-button', attrs: { type: 'button', 'aria-label': text === null ? name : `${name}: ${text}` } },
      sign,
      text === null ? name : isolated(text, { class: 'chip-value' }),
      text === null && icon('chevron-down'),
    );
    const remove = () => this.#query.set(none);
    return el(
      'div',
      { class: text === null ? 'chip' : 'chip active', attrs: { 'data-filter': name.toLowerCase() } },
      button,
      text !== null &&
        el('button', { class: 'chip-remove', attrs: { type: 'button', 'aria-label': `Remove filter ${name}` }, on: { click: remove } }, icon('close')),
      attachMenu(button, { label: name, build: menu }),
    );
  }

  #statusMenu() {
    const { status = '' } = this.#query.filters;
    const choices = [['', 'All'], ...STATES.map((state) => [state, STATE_NAMES[state]])];
    return choices.map(([value, name]) =>
      menuItem(
        [
          value ? el('span', { class: 'dot', attrs: { 'data-state': value } }) : el('span', { class: 'dot none' }),
          name,
          value === status && el('span', { class: 'end' }, icon('check')),
        ],
        () => this.#query.set({ status: value }),
        { 'aria-pressed': String(value === status) },
      ),
    );
  }

  /**
   * A menu with a field and suggestions from the pictures that the gallery has.
   *
   * @param {'label' | 'prefix'} filter
   * @param {string} name
   * @param {string} placeholder
   * @param {string[]} suggestions
   */
  #textMenu(filter, name, placeholder, suggestions) {
    const input = el('input', {
      class: 'input',
      attrs: { id: `filter-${filter}`, type: 'text', placeholder, maxlength: 200, autocomplete: 'off', autocapitalize: 'none', dir: 'auto' },
      props: { value: this.#query.filters[filter] ?? '' },
    });
    const choose = (/** @type {string} */ value) => this.#query.set({ [filter]: value });
    const form = el('form', { class: 'menu-form' }, el('div', { class: 'field' }, el('label', { attrs: { for: input.id } }, name), input));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      closeMenuOf(form);
      choose(filter === 'prefix' ? folderOf(input.value) : input.value.trim());
    });
    const items = suggestions.map((value) => menuItem([icon(filter === 'label' ? 'tag' : 'folder'), bdi(value)], () => choose(value)));
    input.addEventListener('input', () => {
      const wanted = input.value.toLowerCase();
      items.forEach((item, at) => (item.hidden = !suggestions[at].toLowerCase().includes(wanted)));
    });
    return [form, ...items];
  }

  #dateMenu() {
    const { from = '', to = '' } = this.#query.filters;
    const today = new Date();
    const last = (/** @type {number} */ days) => {
      const first = new Date(today.getFullYear(), today.getMonth(), today.getDate() - days);
      return () => this.#query.set({ from: isoDay(first), to: '' });
    };
    const field = (/** @type {string} */ id, /** @type {string} */ label, /** @type {string} */ value) => {
      const input = el('input', { class: 'input', attrs: { id, type: 'date', value, max: '9999-12-31' } });
      return { input, element: el('div', { class: 'field' }, el('label', { attrs: { for: id } }, label), input) };
    };
    const first = field('filter-from', 'From', from);
    const second = field('filter-to', 'To', to);
    const form = el('form', { class: 'menu-form' }, first.element, second.element, el('button', { class: 'button primary' }, 'Apply'));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      closeMenuOf(form);
      this.#query.set({ from: first.input.value, to: second.input.value });
    });
    return [menuItem(['Today'], last(0)), menuItem(['Last 7 days'], last(6)), menuItem(['Last 30 days'], last(29)), el('hr'), form];
  }

  #labels() {
    return mostFrequent(this.#listing.pictures.flatMap(({ labels }) => labels));
  }

  #folders() {
    return mostFrequent(this.#listing.pictures.flatMap(({ folder }) => parents(folder))).sort();
  }
}

customElements.define('filter-bar', FilterBar);

/** @param {string} text */
function folderOf(text) {
  const folder = text.trim().replace(/^\/+/, '');
  return folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
}

/**
 * Return a folder and the folders around it: `a/b/` is in `a/`.
 *
 * @param {string} folder
 */
function parents(folder) {
  const parts = folder.split('/').slice(0, -1);
  return parts.map((_, at) => `${parts.slice(0, at + 1).join('/')}/`);
}

/** @param {string[]} values */
function mostFrequent(values) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, SUGGESTIONS).map(([value]) => value);
}

/** @param {Date} day */
function isoDay(day) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/**
 * @param {string | undefined} from
 * @param {string | undefined} to
 * @returns {string | null}
 */
function describeDays(from, to) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone: 'UTC' });
  if (from && to) return from <= to ? format.formatRange(new Date(from), new Date(to)) : `${format.format(new Date(from))} – ${format.format(new Date(to))}`;
  if (from) return `Since ${format.format(new Date(from))}`;
  return to ? `Until ${format.format(new Date(to))}` : null;
}
