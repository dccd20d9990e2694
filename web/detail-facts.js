// The facts about an image below its picture: renditions, labels, camera, colours, durations, warnings, raw record.

import { bdi, el, isolated } from './dom.js';
import { formatBytes, formatDuration, formatNumber, formatPercent, printable, printableJson } from './format.js';
import { icon } from './icons.js';
import { fileName } from './markup.js';

/**
 * @typedef {import('./markup.js').Rendition} Rendition
 *
 * @typedef {object} Uses what the facts offer.
 * @property {import('./copies.js').Copies} copies
 * @property {(label: string) => void} filterByLabel
 */

/**
 * Return the sections that a record has facts for.
 *
 * @param {any} record
 * @param {Uses} uses
 * @returns {HTMLElement[]}
 */
export function factSections(record, uses) {
  const shown = record.previous ?? record;
  return /** @type {HTMLElement[]} */ (
    [
      warnings(shown.warnings ?? []),
      labels(shown.labels ?? [], uses),
      renditions(shown.renditions ?? [], shown.image?.sizeBytes ?? record.upload?.sizeBytes, uses),
      colours(shown.summary?.colours ?? [], uses),
      camera(shown.exif ?? {}),
      durations(record.execution),
      raw(record, uses),
    ].filter((section) => section !== null)
  );
}

/**
 * @param {string} title
 * @param {...(Node | string | false | null)} children
 */
function section(title, ...children) {
  return el('section', { class: 'facts' }, el('h3', {}, title), ...children);
}

/** @param {{ message: string }[]} warnings */
function warnings(warnings) {
  if (!warnings.length) return null;
  return section(
    warnings.length === 1 ? 'Warning' : 'Warnings',
    el('ul', { class: 'warnings' }, warnings.map(({ message }) => el('li', {}, icon('alert'), el('span', {}, message)))),
  );
}

/**
 * @param {{ name: string, confidence: number }[]} labels
 * @param {Uses} uses
 */
function labels(labels, { filterByLabel }) {
  if (!labels.length) return null;
  const chip = (/** @type {{ name: string, confidence: number }} */ { name, confidence }) =>
    el(
      'li',
      {},
      el(
        'button',
        {
          class: 'button small',
          attrs: { type: 'button', title: `Show all images with the label ${printable(name)}` },
          on: { click: () => filterByLabel(name) },
        },
        bdi(name),
        el('span', { class: 'soft' }, formatPercent(confidence / 100)),
      ),
    );
  return section('Labels', el('ul', { class: 'label-list' }, labels.map(chip)));
}

/**
 * @param {Rendition[]} renditions
 * @param {number | undefined} originalBytes
 * @param {Uses} uses
 */
function renditions(renditions, originalBytes, { copies }) {
  if (!renditions.length) return null;
  const row = (/** @type {Rendition} */ rendition) => {
    const { width, height, sizeBytes, url } = rendition;
    const name = fileName(rendition);
    return el(
      'tr',
      {},
      el(
        'th',
        { attrs: { scope: 'row' } },
        el('a', { attrs: { href: url, target: '_blank', rel: 'noopener' } }, name),
        el('small', {}, `${width} × ${height}`),
      ),
      el('td', {}, formatBytes(sizeBytes)),
      savedCell(sizeBytes, originalBytes),
      el(
        'td',
        {},
        el(
          'button',
          {
            class: 'icon-button',
            attrs: { type: 'button', 'aria-label': `Copy link of ${name}`, title: `Copy link of ${name}` },
            on: { click: () => copies.copy(copies.addressOf(rendition), `Link of ${name}`) },
          },
          icon('link'),
        ),
      ),
    );
  };
  return section(
    'Renditions',
    el(
      'table',
      { class: 'renditions' },
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          ['File', 'Size', 'Saved'].map((title) => el('th', { attrs: { scope: 'col' } }, title)),
          el('th', { attrs: { scope: 'col' } }, el('span', { class: 'visually-hidden' }, 'Link')),
        ),
      ),
      el('tbody', {}, renditions.map(row)),
    ),
  );
}

/**
 * Compare a rendition with the original.
 *
 * @param {number} bytes
 * @param {number | undefined} originalBytes
 */
function savedCell(bytes, originalBytes) {
  if (!originalBytes) return el('td');
  const saved = originalBytes - bytes;
  const part = formatPercent(Math.abs(saved) / originalBytes);
  return saved > 0
    ? el('td', { class: 'saved' }, formatBytes(saved), el('small', {}, part))
    : el('td', { class: 'soft' }, 'nothing', saved < 0 && el('small', {}, `${part} larger`));
}

/**
 * @param {string[]} colours
 * @param {Uses} uses
 */
function colours(colours, { copies }) {
  if (!colours.length) return null;
  const swatch = (/** @type {string} */ colour) => {
    const patch = el('span', { class: 'swatch-colour' });
    patch.style.backgroundColor = colour;
    return el(
      'li',
      {},
      el(
        'button',
        { class: 'swatch', attrs: { type: 'button', title: `Copy ${colour}` }, on: { click: () => copies.copy(colour, colour) } },
        patch,
        el('code', {}, colour),
      ),
    );
  };
  return section('Colours', el('ul', { class: 'swatches' }, colours.map(swatch)));
}

/** @param {Record<string, any>} exif */
function camera(exif) {
  const { make, model, lens, exposureTime, fNumber, iso, focalLength, takenAt, artist, copyright } = exif;
  const isRepeated = make && model?.toLowerCase().startsWith(make.toLowerCase());
  /** @type {[string, string | undefined][]} */
  const facts = [
    ['Camera', [isRepeated ? null : make, model].filter(Boolean).join(' ') || undefined],
    ['Lens', lens],
    ['Exposure', exposureTime && formatExposure(exposureTime)],
    ['Aperture', fNumber && `ƒ/${formatNumber(fNumber)}`],
    ['Sensitivity', iso && `ISO ${iso}`],
    ['Focal length', focalLength && `${formatNumber(focalLength)} mm`],
    ['Taken', takenAt && formatTakenAt(takenAt)],
    ['Artist', artist],
    ['Copyright', copyright],
  ];
  const known = facts.filter(([, value]) => value);
  if (!known.length) return null;
  return section(
    'Camera',
    el(
      'dl',
      { class: 'fact-list' },
      known.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, isolated(/** @type {string} */ (value))))),
    ),
  );
}

/** @param {number} seconds */
function formatExposure(seconds) {
  return seconds > 0 && seconds < 0.4 ? `1/${formatNumber(Math.round(1 / seconds))} s` : `${formatNumber(seconds)} s`;
}

/**
 * Return the time as the clock of the camera showed it.
 *
 * @param {string} time such as `2026-05-04T10:11:12.25+02:00`.
 */
function formatTakenAt(time) {
  const [, local, offset = ''] = /^(.{19})[.\d]*(.*)$/.exec(time) ?? [];
  const date = new Date(`${local}Z`);
  if (Number.isNaN(date.getTime())) return time;
  const text = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' }).format(date);
  return offset ? `${text} (UTC${offset === 'Z' ? '' : offset})` : text;
}

/** @param {{ milliseconds?: Record<string, number>, startedAt?: string, finishedAt?: string } | undefined} execution */
function durations(execution) {
  const steps = Object.entries(execution?.milliseconds ?? {});
  if (!steps.length) return null;
  const longest = Math.max(1, ...steps.map(([, milliseconds]) => milliseconds));
  const total =
    execution?.startedAt && execution.finishedAt ? Date.parse(execution.finishedAt) - Date.parse(execution.startedAt) : null;
  return section(
    'Processing time',
    el(
      'dl',
      { class: 'durations' },
      steps.map(([step, milliseconds]) => {
        const bar = el('span', { class: 'duration-bar', attrs: { 'aria-hidden': 'true' } });
        bar.style.inlineSize = `${Math.max(1, (100 * milliseconds) / longest)}%`;
        return el(
          'div',
          {},
          el('dt', {}, stepName(step)),
          el('dd', {}, el('span', { class: 'duration-track' }, bar), el('span', {}, formatDuration(milliseconds))),
        );
      }),
      total !== null &&
        el('div', { class: 'total' }, el('dt', {}, 'From start to end'), el('dd', {}, el('span', {}, formatDuration(total)))),
    ),
  );
}

/**
 * Return the name of a step for people: `ValidateImage` becomes `Validate image`.
 *
 * @param {string} state the name of a state of the workflow.
 */
export function stepName(state) {
  const words = state.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * @param {any} record
 * @param {Uses} uses
 */
function raw(record, { copies }) {
  const text = JSON.stringify(record, null, 2);
  const details = el(
    'details',
    { class: 'facts raw' },
    el('summary', {}, el('h3', {}, 'Record')),
    el(
      'button',
      { class: 'button small', attrs: { type: 'button' }, on: { click: () => copies.copy(text, 'Record') } },
      icon('copy'),
      'Copy JSON',
    ),
  );
  // The text is long, and few people read it.
  details.addEventListener('toggle', () => details.append(el('pre', { attrs: { tabindex: 0, 'aria-label': 'Record' } }, printableJson(text))), {
    once: true,
  });
  return details;
}
