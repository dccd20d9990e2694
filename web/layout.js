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
const CARD_HEIGHT = 184; // where a card has a row for itself
const NARROW = 560;
const TALLEST = 1.4;
const LOWEST = 0.8;

/**
 * Arrange pictures in rows.
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
  let aspects = 0;
  let top = 0;

  const ownsRow = (/** @type {Picture} */ { state }) => state === 'FAILED' && width < NARROW;
  const aspect = (/** @type {Picture} */ picture) => (ownsRow(picture) ? width / CARD_HEIGHT : aspectOf(picture, height));

  /** @param {Picture[]} members */
  const rowHeight = (members, sum = members.reduce((total, each) => total + aspect(each), 0)) =>
    (width - gap * (members.length - 1)) / sum;

  /** @param {number} tall */
  const close = (tall) => {
    const row = place(line, { top, height: tall, width, gap, aspect });
    rows.push(row);
    top += row.height + gap;
    line = [];
    aspects = 0;
  };

  for (const picture of pictures) {
    if (ownsRow(picture)) {
      if (line.length) close(Math.min(height, rowHeight(line, aspects)));
      line = [picture];
      close(CARD_HEIGHT);
      continue;
    }
    const longer = rowHeight([...line, picture], aspects + aspect(picture));
    // The row is full. Leave this picture out if the row is nearer to the wanted height without it.
    if (line.length && longer < height) {
      const shorter = rowHeight(line, aspects);
      if (shorter - height < height - longer && shorter <= height * TALLEST) close(shorter);
    }
    line.push(picture);
    aspects += aspect(picture);
    const tall = rowHeight(line, aspects);
    if (tall <= height) close(tall);
  }
  if (line.length === 0) return rows;
  // A few pictures at the end join the row before, if that row stays high enough.
  const before = rows.at(-1);
  const last = before && !ownsRow(before.boxes[0].picture) ? before : null;
  const joined = last ? [...last.boxes.map(({ picture }) => picture), ...line] : line;
  if (last && rowHeight(joined) >= height * LOWEST) {
    rows.pop();
    top = last.top;
    line = joined;
    close(rowHeight(joined));
  } else {
    close(Math.min(height, rowHeight(line, aspects)));
  }
  return rows;
}

/**
 * @param {Picture[]} pictures
 * @param {{ top: number, height: number, width: number, gap: number, aspect: (picture: Picture) => number }} options
 * @returns {Row}
 */
function place(pictures, { top, height, width, gap, aspect }) {
  const tall = Math.round(height);
  let exact = 0;
  const boxes = pictures.map((picture) => {
    const left = Math.round(exact);
    exact += aspect(picture) * height;
    const right = Math.min(Math.round(exact), width);
    exact += gap;
    return { picture, left, top, width: right - left, height: tall };
  });
  return { top, height: tall, boxes };
}

/**
 * Return the aspect ratio that a picture has in the gallery. Very long ones are cropped; a card needs room for its text.
 *
 * @param {Picture} picture
 * @param {number} height
 */
function aspectOf({ state, width, height: tall }, height) {
  if (state === 'FAILED') return CARD_WIDTH / height;
  if (!width || !tall) return UNKNOWN;
  return Math.min(FLATTEST, Math.max(STEEPEST, width / tall));
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
