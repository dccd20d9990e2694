// The one shape in which the page knows an image, made from an entry of the list or from a record.

import { isTransparent } from './thumbhash.js';

export const UPLOADS = 'uploads/';

/**
 * @typedef {'UPLOADING' | 'WAITING' | 'PROCESSING' | 'COMPLETED' | 'PARTIAL' | 'FAILED' | 'DELETED'} State
 *
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} message
 * @property {string} hint
 * @property {string} [step]
 *
 * @typedef {object} Picture
 * @property {string} key the full key, such as `uploads/summer/beach.jpg`.
 * @property {string} name the key without `uploads/`.
 * @property {string} folder the folders of the name with a trailing slash, or ''.
 * @property {string} fileName the last part of the name.
 * @property {State} state
 * @property {string | null} uploadedAt ISO 8601.
 * @property {number | null} width in pixels.
 * @property {number | null} height in pixels.
 * @property {number | null} sizeBytes
 * @property {string | null} format
 * @property {string | null} thumbhash base64.
 * @property {string[]} labels
 * @property {string | null} src the smallest rendition, or a local preview.
 * @property {Record<string, string>} srcsets by content type, the types with the smallest files first.
 * @property {string} moving the `srcset` of the animation; '' if the image stands still.
 * @property {string | null} urlExpiresAt until when `src` and `srcsets` are valid; null if they do not expire.
 * @property {Problem | null} error why a FAILED image has no renditions.
 * @property {Problem | null} lastFailure why a reprocess failed that kept the image.
 * @property {string} statusPath
 * @property {string | null} versionId the version of the upload; null if unknown.
 * @property {string | null} step what happens now, for people; null if the state says all.
 * @property {number | null} progress the sent part of an UPLOADING file, from 0 to 1.
 */

/** The states in the words of the page. @type {Record<State, string>} */
export const STATE_NAMES = {
  UPLOADING: 'Uploading',
  WAITING: 'Waiting',
  PROCESSING: 'Processing',
  COMPLETED: 'Completed',
  PARTIAL: 'Without labels',
  FAILED: 'Failed',
  DELETED: 'Deleted',
};

const PENDING = new Set(['UPLOADING', 'WAITING', 'PROCESSING']);

// These errors are about the file: the same file would fail again.
const REJECTIONS = new Set([
  'UnsupportedFormatError',
  'CorruptImageError',
  'EmptyUploadError',
  'UploadTooLargeError',
  'ImageTooLargeError',
  'UploadVanishedError',
]);

/**
 * Return whether the image still waits for its outcome.
 *
 * @param {Picture} picture
 */
export function isPending(picture) {
  return PENDING.has(picture.state);
}

/**
 * Return which action helps when an upload has failed.
 *
 * @param {{ code: string } | null} error the error of a record.
 * @returns {'replace' | 'reprocess' | null}
 */
export function remedyFor(error) {
  if (!error) return null;
  return REJECTIONS.has(error.code) ? 'replace' : 'reprocess';
}

/**
 * Make a picture from the fields that are known.
 *
 * @param {Partial<Picture> & { key: string }} fields
 * @returns {Picture}
 */
export function makePicture(fields) {
  const name = nameOf(fields.key);
  const end = name.lastIndexOf('/') + 1;
  return {
    name,
    folder: name.slice(0, end),
    fileName: name.slice(end) || name,
    state: 'WAITING',
    uploadedAt: null,
    width: null,
    height: null,
    sizeBytes: null,
    format: null,
    thumbhash: null,
    labels: [],
    src: null,
    srcsets: {},
    moving: '',
    urlExpiresAt: null,
    error: null,
    lastFailure: null,
    statusPath: `${pathOf(fields.key)}/status`,
    versionId: null,
    step: null,
    progress: null,
    ...fields,
  };
}

/**
 * Make a picture from an entry of `GET /images`.
 *
 * @param {any} entry
 * @returns {Picture}
 */
export function fromListing(entry) {
  /** @param {string | undefined} code */
  const problem = (code) => (code ? { code, message: entry.errorMessage ?? code, hint: entry.errorHint ?? '' } : null);
  return makePicture({
    key: entry.imageKey,
    state: entry.status,
    uploadedAt: entry.uploadedAt ?? null,
    width: entry.width ?? null,
    height: entry.height ?? null,
    sizeBytes: entry.sizeBytes ?? null,
    format: entry.format ?? null,
    thumbhash: entry.thumbhash ?? null,
    labels: entry.labels ?? [],
    src: entry.renditionUrl ?? null,
    srcsets: entry.srcsets ?? {},
    urlExpiresAt: entry.renditionUrlExpiresAt ?? null,
    error: problem(entry.error),
    lastFailure: entry.error ? null : problem(entry.lastFailure),
    statusPath: entry.statusPath,
  });
}

/**
 * Make a picture from a record, as a status contains it. While a new upload is processing, it shows the previous image.
 *
 * @param {any} record
 * @returns {Picture}
 */
export function fromRecord(record) {
  const shown = record.previous ?? record;
  const image = shown.image ?? {};
  const renditions = [...(shown.renditions ?? [])].sort((a, b) => a.width - b.width);
  const isMoving = renditions.some(({ frames }) => frames > 1);
  const { 'image/webp': moving = '', ...stills } = (isMoving && shown.srcsets) || {};
  return makePicture({
    key: record.imageKey,
    state: record.status,
    uploadedAt: record.upload?.uploadedAt ?? record.createdAt ?? null,
    width: image.width ?? null,
    height: image.height ?? null,
    sizeBytes: record.upload?.sizeBytes ?? image.sizeBytes ?? null,
    format: image.format ?? null,
    thumbhash: shown.summary?.thumbhash ?? null,
    labels: (shown.labels ?? []).map((/** @type {{ name: string }} */ label) => label.name),
    src: renditions[0]?.url ?? null,
    srcsets: Object.keys(stills).length ? stills : (shown.srcsets ?? {}),
    moving,
    urlExpiresAt: renditions[0]?.urlExpiresAt ?? null,
    error: record.error ?? null,
    lastFailure: record.lastFailure ?? null,
    versionId: record.upload?.versionId ?? null,
    step: record.stale ? 'Takes too long' : null,
  });
}

/**
 * Return whether parts of the picture are transparent.
 *
 * @param {Picture} picture
 */
export function hasTransparency({ thumbhash }) {
  return thumbhash !== null && isTransparent(thumbhash);
}

/**
 * Return one `srcset` with the best type for each width. Every browser that runs this page reads all of these types.
 * A JPEG shows transparent parts as white, so it is used only if there is nothing else.
 *
 * @param {Picture} picture
 */
export function mergedSrcset(picture) {
  const { 'image/jpeg': flat, ...others } = picture.srcsets;
  const keepsAlpha = hasTransparency(picture) && Object.keys(others).length > 0;
  /** @type {Map<string, string>} */
  const byWidth = new Map();
  for (const srcset of Object.values(keepsAlpha ? others : picture.srcsets)) {
    for (const candidate of srcset.split(', ')) {
      const width = candidate.slice(candidate.lastIndexOf(' ') + 1);
      if (!byWidth.has(width)) byWidth.set(width, candidate);
    }
  }
  return [...byWidth.values()].join(', ');
}

/**
 * Return the key without `uploads/`.
 *
 * @param {string} key
 */
export function nameOf(key) {
  return key.startsWith(UPLOADS) ? key.slice(UPLOADS.length) : key;
}

/** @param {string} key */
export function folderOf(key) {
  return nameOf(key).slice(0, nameOf(key).lastIndexOf('/') + 1);
}

// Names that a URL parser or a gateway would change are encoded twice, as one segment without a dot. A name that
// already looks encoded is encoded twice as well, so that every path means exactly one key.
const ODD = /(?:^|(?<=\/))\.{0,2}(?=\/|$)|[\x00-\x1f\x7f?]/;
const WRAPPED = /^[A-Za-z0-9_~!'()*%-]*%[A-Za-z0-9_~!'()*%-]*$/;

/**
 * Return the path of an upload, such as `/images/uploads/summer/beach.jpg`. Add `/status`, `/reprocess` and so on.
 *
 * @param {string} key
 */
export function pathOf(key) {
  const name = nameOf(key);
  return `/images/${UPLOADS}${ODD.test(name) || WRAPPED.test(name) ? wrapped(name) : encoded(name)}`;
}

/**
 * Return the path of an upload with its name as one segment, as `/original` needs it.
 *
 * @param {string} key
 */
export function segmentPathOf(key) {
  const name = nameOf(key);
  return name.includes('/') ? `/images/${UPLOADS}${wrapped(name)}` : pathOf(key);
}

/** @param {string} name */
function encoded(name) {
  return name.split('/').map(encodeURIComponent).join('/');
}

/** @param {string} name */
function wrapped(name) {
  return encodeURIComponent(encodeURIComponent(name).replaceAll('.', '%2E'));
}
