// Files that are dropped or pasted. This is loaded first, because the browser leaves the page for a dropped file that
// nothing takes. Files that come before the page can upload are kept until then.

/**
 * @typedef {object} Incoming
 * @property {{ entry: FileSystemEntry | null, file: File | null }[]} items `entry` can be a folder.
 * @property {boolean} isPasted
 */

/** @type {Incoming[]} */
const kept = [];

/** @type {((incoming: Incoming) => void) | null} */
let take = null;

let isOwnDrag = false;

addEventListener('dragstart', () => (isOwnDrag = true));
addEventListener('dragend', () => (isOwnDrag = false));
addEventListener('dragover', (event) => isFileDrag(event) && event.preventDefault());
addEventListener('drop', (event) => {
  if (!isFileDrag(event)) return;
  event.preventDefault();
  receive(/** @type {DataTransfer} */ (event.dataTransfer), false);
});
addEventListener('paste', ({ clipboardData, target }) => {
  const isTyping = target instanceof Element && target.closest('input, textarea') !== null;
  if (clipboardData?.files.length && !isTyping) receive(clipboardData, true);
});

/** @param {DragEvent} event */
export function isFileDrag({ dataTransfer }) {
  return !isOwnDrag && Boolean(dataTransfer?.types.includes('Files'));
}

/**
 * Take all files, also those that were kept.
 *
 * @param {(incoming: Incoming) => void} taker
 */
export function takeFiles(taker) {
  take = taker;
  for (const incoming of kept.splice(0)) take(incoming);
}

/**
 * The browser empties the list of items as soon as the event ends.
 *
 * @param {DataTransfer} data
 * @param {boolean} isPasted
 */
function receive(data, isPasted) {
  const files = [...data.items].filter(({ kind }) => kind === 'file');
  const items = files.map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  if (take) take({ items, isPasted });
  else kept.push({ items, isPasted });
}
