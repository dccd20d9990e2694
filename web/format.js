// Numbers, sizes, dates and times for people, in the language of the browser.

const SIZES = /** @type {const} */ (['byte', 'kilobyte', 'megabyte', 'gigabyte']);

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
