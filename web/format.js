// Numbers, sizes, dates and times for people, in the language of the browser, and names that others chose.

const SIZES = /** @type {const} */ (['byte', 'kilobyte', 'megabyte', 'gigabyte']);

// The same characters as in emails and terminals: those that a browser obeys or hides. The last ones are unpaired surrogates.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\p{Cs}]/gu;

/**
 * Replace every unprintable character with `?`. Otherwise, direction marks would show `gpj.exe` as `exe.jpg`.
 *
 * @param {string} text
 */
export function printable(text) {
  return text.replace(UNPRINTABLE, '?');
}

/**
 * Escape unprintable characters in JSON that is for people; line feeds stay.
 *
 * @param {string} json
 */
export function printableJson(json) {
  const escaped = (/** @type {string} */ character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escaped(character)));
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const step = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** step;
  return new Intl.NumberFormat(undefined, {
    style: 'unit',
    unit: SIZES[step],
    unitDisplay: step ? 'short' : 'long',
    maximumFractionDigits: value < 10 && step ? 1 : 0,
  }).format(value);
}

/** @param {number} part from 0 to 1. */
export function formatPercent(part) {
  return new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 }).format(part);
}

/** @param {number} value */
export function formatNumber(value) {
  return new Intl.NumberFormat().format(value);
}

/** @param {number} milliseconds */
export function formatDuration(milliseconds) {
  const unit = (/** @type {string} */ name, /** @type {number} */ value, digits = 0) =>
    new Intl.NumberFormat(undefined, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: digits }).format(value);
  if (milliseconds < 1000) return unit('millisecond', milliseconds);
  if (milliseconds < 10_000) return unit('second', milliseconds / 1000, 1);
  if (milliseconds < 90_000) return unit('second', milliseconds / 1000);
  return unit('minute', milliseconds / 60_000);
}

/** @param {string | Date} time */
export function formatTime(time) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time));
}

/**
 * Name a day: today, yesterday, or its date.
 *
 * @param {Date} day
 */
export function formatDay(day) {
  const now = new Date();
  const midnight = (/** @type {Date} */ date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const days = Math.round((midnight(day).getTime() - midnight(now).getTime()) / 86_400_000);
  if (days === 0 || days === -1) {
    const text = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' }).format(days, 'day');
    return text.charAt(0).toUpperCase() + text.slice(1);
  }
  const year = day.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'long', year }).format(day);
}
