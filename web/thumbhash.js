// Draw a ThumbHash: a blurred placeholder from about 25 bytes. layers/core/image_pipeline/imaging/summary.py writes it.

const SIDE = 32;

/**
 * Draw a placeholder onto a canvas. The canvas gets the few pixels of the placeholder; CSS stretches them.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {string} thumbhash base64.
 * @returns {boolean} whether the text was a ThumbHash.
 */
export function drawThumbhash(canvas, thumbhash) {
  const pixels = decode(thumbhash);
  if (!pixels) return false;
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  return true;
}

/**
 * Return whether a ThumbHash is of a picture with transparent parts.
 *
 * @param {string} thumbhash base64.
 */
export function isTransparent(thumbhash) {
  return hasAlphaBit(bytesOf(thumbhash));
}

/** @param {Uint8Array | null} bytes */
function hasAlphaBit(bytes) {
  return bytes !== null && bytes[2] > 127;
}

/**
 * @param {string} text
 * @returns {ImageData | null}
 */
function decode(text) {
  const bytes = bytesOf(text);
  if (!bytes || bytes.length < 5) return null;
  const first = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const second = bytes[3] | (bytes[4] << 8);
  const hasAlpha = hasAlphaBit(bytes);
  const isLandscape = second >> 15 === 1;
  const long = hasAlpha ? 5 : 7;
  const short = Math.max(1, second & 7);
  const [across, down] = isLandscape ? [long, short] : [short, long];

  const next = nibbles(bytes, hasAlpha ? 6 : 5);
  const light = waves(next, Math.max(3, across), Math.max(3, down), ((first >> 18) & 31) / 31);
  // A little more colour than measured makes up for what the few frequencies lose.
  const yellowBlue = waves(next, 3, 3, (((second >> 3) & 63) / 63) * 1.25);
  const redGreen = waves(next, 3, 3, (((second >> 9) & 63) / 63) * 1.25);
  const opacity = hasAlpha ? waves(next, 5, 5, (bytes[5] >> 4) / 15) : [];

  const width = Math.max(1, Math.round(across > down ? SIDE : (SIDE * across) / down));
  const height = Math.max(1, Math.round(across > down ? (SIDE * down) / across : SIDE));
  const columns = cosines(width);
  const rows = cosines(height);
  const pixels = new ImageData(width, height);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const l = sum(light, (first & 63) / 63, column, row);
      const p = sum(yellowBlue, ((first >> 6) & 63) / 31.5 - 1, column, row);
      const q = sum(redGreen, ((first >> 12) & 63) / 31.5 - 1, column, row);
      const a = hasAlpha ? sum(opacity, (bytes[5] & 15) / 15, column, row) : 1;
      const blue = l - (2 / 3) * p;
      const red = (3 * l - blue + q) / 2;
      pixels.data.set([255 * red, 255 * (red - q), 255 * blue, 255 * a], at); // clamped by the array
      at += 4;
    }
  }
  return pixels;
}

/** @param {string} text */
function bytesOf(text) {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null; // not base64: an older or foreign record
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 */
function nibbles(bytes, start) {
  let at = start * 2;
  return () => {
    const byte = bytes[at >> 1] ?? 0;
    const nibble = at & 1 ? byte >> 4 : byte & 15;
    at += 1;
    return nibble;
  };
}

/**
 * Read the frequencies of one channel.
 *
 * @param {() => number} next
 * @param {number} across
 * @param {number} down
 * @param {number} scale
 */
function waves(next, across, down, scale) {
  const list = [];
  for (let v = 0; v < down; v += 1) {
    for (let u = v ? 0 : 1; u * down < across * (down - v); u += 1) {
      list.push({ u, v, strength: (next() / 7.5 - 1) * scale });
    }
  }
  return list;
}

/**
 * Return, for each place along a side, the values of the waves there.
 *
 * @param {number} side
 */
function cosines(side) {
  return Array.from({ length: side }, (_, at) =>
    Array.from({ length: 7 }, (_, wave) => Math.cos((Math.PI * wave * (at + 0.5)) / side)),
  );
}

/**
 * @param {{ u: number, v: number, strength: number }[]} list
 * @param {number} mean
 * @param {number[]} column
 * @param {number[]} row
 */
function sum(list, mean, column, row) {
  let value = mean;
  for (const { u, v, strength } of list) value += 2 * strength * column[u] * row[v];
  return value;
}
