// Rules for the names of uploads, the same that the API has.

const MAX_KEY_BYTES = 1024;
const PREFIX = 'uploads/';
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/u;
const CONTROLS = new RegExp(CONTROL, 'gu');
const LONE_SURROGATE = /\p{Cs}/u;
const LONE_SURROGATES = new RegExp(LONE_SURROGATE, 'gu');
const NOT_A_PART = /^\.{0,2}$/;

/** @typedef {{message: string, hint: string}} Problem */

/**
 * Return why the API would refuse a name.
 * @param {string} name the key without `uploads/`
 * @returns {Problem | null}
 */
export function nameProblem(name) {
  const control = CONTROL.exec(name);
  if (control) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    return {
      message: `The name contains the control character U+${code} at position ${control.index + 1}.`,
      hint: 'Upload it under the name below, or rename the file and add it again.',
    };
  }
  if (LONE_SURROGATE.test(name)) {
    return {
      message: 'The name contains half of a character, so it is not valid Unicode.',
      hint: 'Upload it under the name below, or rename the file and add it again.',
    };
  }
  if (name.split('/').some((part) => NOT_A_PART.test(part))) {
    return {
      message: 'A part of the name is empty, “.” or “..”.',
      hint: 'Upload it under the name below, or rename the file or its folder and add it again.',
    };
  }
  const bytes = byteLength(PREFIX + name) - PREFIX.length;
  const limit = MAX_KEY_BYTES - PREFIX.length;
  if (bytes > limit) {
    return {
      message: `The name with its folders has ${bytes} bytes; the limit is ${limit} bytes.`,
      hint: 'Upload it under the shorter name below, or rename the file and add it again.',
    };
  }
  return null;
}

/**
 * Return the nearest name that the API accepts.
 * @param {string} name
 */
export function usableName(name) {
  const parts = name.replace(CONTROLS, '_').replace(LONE_SURROGATES, '_').split('/');
  const usable = parts.map((part) => (NOT_A_PART.test(part) ? '_' : part)).join('/');
  return shortened(usable, MAX_KEY_BYTES - PREFIX.length);
}

/**
 * Return the name for another copy: `summer/beach.jpg` becomes `summer/beach-1.jpg`.
 * @param {string} name
 * @param {number} number
 */
export function numberedName(name, number) {
  const [stem, suffix] = split(name);
  return `${stem}-${number}${suffix}`;
}

/**
 * Return the name for a pasted picture, which has none: `screenshot 2026-11-28 at 09.05.07.png`.
 * @param {Date} date
 * @param {string} type the content type, such as `image/png`
 */
export function screenshotName(date, type) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}.${two(date.getMinutes())}.${two(date.getSeconds())}`;
  const suffix = /^image\/([a-z0-9]{1,5})/.exec(type)?.[1] ?? 'png';
  return `screenshot ${day} at ${time}.${suffix === 'jpeg' ? 'jpg' : suffix}`;
}

/**
 * Return a folder with exactly one slash at its end; empty for the folder of all uploads.
 * @param {string | null | undefined} folder
 */
export function folderPrefix(folder) {
  const path = (folder ?? '').replace(/^uploads\//, '');
  return path && !path.endsWith('/') ? `${path}/` : path;
}

/**
 * Return the stem and the suffix of a name. The suffix includes its dot.
 * @param {string} name
 * @returns {[string, string]}
 */
function split(name) {
  const dot = name.lastIndexOf('.');
  return dot > name.lastIndexOf('/') + 1 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
}

/**
 * Cut whole characters from the end of the stem, so that the suffix stays.
 * @param {string} name
 * @param {number} limit bytes
 */
function shortened(name, limit) {
  if (byteLength(name) <= limit) return name;
  const [stem, suffix] = split(name);
  const end = byteLength(suffix) < limit / 2 ? suffix : '';
  const bytes = new TextEncoder().encode(end ? stem : name).slice(0, limit - byteLength(end));
  const start = new TextDecoder().decode(bytes, { stream: true }); // drops a character that was cut
  return start.replace(/\/+$/, '') + end;
}

/** @param {string} text */
function byteLength(text) {
  return new TextEncoder().encode(text).length;
}
