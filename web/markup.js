// The ready-to-use `<picture>` of an image, as text.

import { pathOf } from './picture.js';

const MODERN = ['AVIF', 'WEBP']; // smallest files first; the last group is for all other browsers
const SURE = 80; // percent of confidence that a label needs to describe the image
const DESCRIBING = 3;

/**
 * @typedef {object} Rendition
 * @property {string} name
 * @property {string} format
 * @property {number} width
 * @property {number} height
 * @property {number} sizeBytes
 * @property {number} [frames] of an animation.
 * @property {string} key
 * @property {string} url
 * @property {string} urlExpiresAt
 *
 * @typedef {object} Addresses
 * @property {string} origin of the API, such as `https://example.org`.
 * @property {boolean} isPublic whether renditions need no key, so that their addresses at the API work everywhere.
 */

/**
 * Return the address of a rendition for use in other pages: one that stays, or a signed one that expires.
 *
 * @param {string} imageKey
 * @param {Rendition} rendition
 * @param {Addresses} addresses
 */
export function renditionAddress(imageKey, rendition, { origin, isPublic }) {
  return isPublic ? `${origin}${pathOf(imageKey)}/renditions/${fileName(rendition)}` : rendition.url;
}

/**
 * Return the text of a `<picture>`; null if the image has no renditions.
 *
 * @param {string} imageKey
 * @param {{ image?: any, renditions?: Rendition[], labels?: { name: string, confidence: number }[] }} shown
 * @param {Addresses} addresses
 * @returns {string | null}
 */
export function pictureMarkup(imageKey, { image, renditions = [], labels = [] }, addresses) {
  const groups = groupByFormat(usable(image, renditions));
  const fallback = groups.pop();
  if (!fallback) return null;
  const address = (/** @type {Rendition} */ rendition) => renditionAddress(imageKey, rendition, addresses);
  const srcset = (/** @type {Rendition[]} */ group) => group.map((each) => `${address(each)} ${each.width}w`).join(', ');
  const largest = /** @type {Rendition} */ (fallback.at(-1));
  const sizes = `(max-width: ${largest.width}px) 100vw, ${largest.width}px`;
  const sources = groups.map(
    (group) => `  <source${attributes({ type: `image/${group[0].format.toLowerCase()}`, srcset: srcset(group), sizes })}>\n`,
  );
  const described = labels.filter(({ confidence }) => confidence >= SURE).slice(0, DESCRIBING);
  const img = attributes({
    src: address(largest),
    srcset: srcset(fallback),
    sizes,
    width: String(largest.width),
    height: String(largest.height),
    alt: described.map(({ name }) => name).join(', '),
    loading: 'lazy',
    decoding: 'async',
  });
  return `<picture>\n${sources.join('')}  <img${img}>\n</picture>\n`;
}

/**
 * Return the name of the file of a rendition, such as `web.webp`.
 *
 * @param {Rendition} rendition
 */
export function fileName({ key }) {
  return key.slice(key.lastIndexOf('/') + 1);
}

/**
 * Return the renditions that show the whole image; if there is none, the largest one.
 *
 * @param {{ width: number, height: number } | undefined} image
 * @param {Rendition[]} renditions
 */
function usable(image, renditions) {
  const whole = renditions.filter(
    ({ width, height }) =>
      image && 2 * Math.abs(width * image.height - height * image.width) <= image.width + image.height,
  );
  return whole.length ? whole : [...renditions].sort((a, b) => b.width - a.width).slice(0, 1);
}

/**
 * Return the renditions by format, each format with one rendition for each width, narrowest first. An animated format
 * comes first and has no stills, because a browser may use any width.
 *
 * @param {Rendition[]} renditions
 */
function groupByFormat(renditions) {
  const isMoving = ({ frames = 1 }) => frames > 1;
  const moving = new Set(renditions.filter(isMoving).map(({ format }) => format));
  const rank = (/** @type {string} */ format) => (MODERN.includes(format) ? MODERN.indexOf(format) : MODERN.length);
  const order = (/** @type {string} */ format) => (moving.has(format) ? -1 : rank(format));
  const formats = [...new Set(renditions.map(({ format }) => format))].sort((a, b) => order(a) - order(b));
  return formats.map((format) => {
    const group = renditions.filter((each) => each.format === format && isMoving(each) === moving.has(format));
    const byWidth = new Map(group.map((each) => [each.width, each]));
    return [...byWidth.values()].sort((a, b) => a.width - b.width);
  });
}

/** @param {Record<string, string>} values */
function attributes(values) {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escaped(value)}"`)
    .join('');
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
