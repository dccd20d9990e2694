// Justified rows: pictures keep their aspect ratios, and all rows but the last of a day have the same width.

/**
 * @typedef {import('./picture.js').Picture} Picture
 *
 * @typedef {object} Box the place of a picture in its day, in pixels.
 * @property {Picture} picture
 * @property {number} left
 * @property {number} top
 * @property {number} width
 * @property {number} height
 *
 * @typedef {{ top: number, height: number, boxes: Box[] }} Row
 *
 * @typedef {object} Day
 * @property {string} id such as `2026-11-21`.
 * @property {Date} date
 * @property {Picture[]} pictures
 */

const FLATTEST = 3;
const STEEPEST = 0.6;
const UNKNOWN = 1.5;
const CARD_WIDTH = 320;
const CARD_HEIGHT = 184; // room for a reason, a hint and a button
const LOWEST_CARD = 175;
const TALLEST_CARD = 220;
const TALLEST = 1.4;
const LOWEST = 0.8;

/**
 * Arrange pictures in rows. The card of a failed image has text, so its row is never low, and it takes the width that
 * pictures leave.
 *
 * @param {Picture[]} pictures
 * @param {number} width
 * @param {{ height: number, gap: number }} options the height that rows should have, and the space between pictures.
 * @returns {Row[]}
 */
export function justify(pictures, width, { height, gap }) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {Picture[]} */
  let line = [];
  let top = 0;

  /** @param {Picture[]} members */
  const rowHeight = (members) =>
    (width - gap * (members.length - 1)) / members.reduce((sum, picture) => sum + aspectOf(picture), 0);
  /** @param {Picture[]} members */
  const wanted = (members) => (members.some(isCard) ? Math.max(height, CARD_HEIGHT) : height);
  /** @param {Picture[]} members */
  const lowest = (members, otherwise = 0) => (members.some(isCard) ? LOWEST_CARD : otherwise);

  const close = (/** @type {number} */ tall, fills = true) => {
    const row = place(line, { top, height: tall, width, gap, fills });
    rows.push(row);
    top += row.height + gap;
    line = [];
  };

  for (const picture of pictures) {
    const longer = [...line, picture];
    const goal = wanted(longer);
    const low = rowHeight(longer);
    // The row is full. Leave this picture out if the row is nearer to the wanted height without it.
    if (line.length && low < goal) {
      const high = rowHeight(line);
      const isNearer = high - goal < goal - low && high <= goal * TALLEST;
      if (isNearer || low < lowest(longer)) close(Math.min(high, wanted(line) * TALLEST));
    }
    line.push(picture);
    const tall = rowHeight(line);
    if (tall <= wanted(line)) close(tall);
  }
  if (line.length === 0) return rows;
  // A few pictures at the end join the row before, if that row stays high enough.
  const last = rows.at(-1);
  const joined = [...(last?.boxes.map(({ picture }) => picture) ?? []), ...line];
  if (last && rowHeight(joined) >= lowest(joined, height * LOWEST)) {
    rows.pop();
    top = last.top;
    line = joined;
    close(rowHeight(joined));
  } else {
    const tall = rowHeight(line);
    const goal = wanted(line);
    close(Math.min(goal, tall), width * (1 - goal / tall) < CARD_WIDTH / 2);
  }
  return rows;
}

/**
 * @param {Picture[]} pictures
 * @param {{ top: number, height: number, width: number, gap: number, fills: boolean }} options `fills`: whether cards
 *   take all width that is left.
 * @returns {Row}
 */
function place(pictures, { top, height, width, gap, fills }) {
  const cards = pictures.filter(isCard).length;
  const high = cards ? Math.min(TALLEST_CARD, cards === pictures.length ? Math.max(CARD_HEIGHT, height) : height) : height;
  const tall = Math.round(high);
  const others = pictures.filter((picture) => !isCard(picture)).reduce((sum, picture) => sum + aspectOf(picture) * high, 0);
  const cardWidth = fills ? (width - gap * (pictures.length - 1) - others) / cards : CARD_WIDTH;
  let exact = 0;
  const boxes = pictures.map((picture) => {
    const left = Math.round(exact);
    exact += isCard(picture) ? cardWidth : aspectOf(picture) * high;
    const right = Math.min(Math.round(exact), width);
    exact += gap;
    return { picture, left, top, width: right - left, height: tall };
  });
  return { top, height: tall, boxes };
}

/** @param {Picture} picture */
function isCard({ state }) {
  return state === 'FAILED';
}

/**
 * Return the aspect ratio that a picture has in the gallery. Very long ones are cropped.
 *
 * @param {Picture} picture
 */
function aspectOf({ state, width, height }) {
  if (state === 'FAILED') return CARD_WIDTH / CARD_HEIGHT;
  if (!width || !height) return UNKNOWN;
  return Math.min(FLATTEST, Math.max(STEEPEST, width / height));
}

/**
 * Group pictures by the day of their upload, in the time zone of the browser.
 *
 * @param {Picture[]} pictures newest first.
 * @returns {Day[]}
 */
export function groupByDay(pictures) {
  /** @type {Day[]} */
  const days = [];
  for (const picture of pictures) {
    const date = picture.uploadedAt === null ? new Date() : new Date(picture.uploadedAt);
    const id = `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
    if (days.at(-1)?.id !== id) days.push({ id, date, pictures: [] });
    days[days.length - 1].pictures.push(picture);
  }
  return days;
}
