// The ways to add files: drop files and folders anywhere, paste, or choose.

import { bdi, el, fill } from './dom.js';
import { icon } from './icons.js';
import { isFileDrag, takeFiles } from './incoming.js';
import { folderPrefix, screenshotName } from './upload-names.js';

/**
 * @typedef {{ file: File, path: string }} Found `path` contains the folders that were dropped or chosen.
 * @typedef {{ found: Found[], hidden: number, unreadable: string[] }} Reading
 */

// Systems write these files into folders by themselves.
const CLUTTER = /^(?:\..*|Thumbs\.db|desktop\.ini)$/i;
const DIGITS = 12; // of a number in a name, for its order
const NEEDS_SCOPE = 'Sign in with a key that has the scope “upload”.';

/** A message over the whole page while files are dragged over it, and two hidden file inputs. */
export class DropTarget extends HTMLElement {
  #queue;
  #session;
  #folder;
  #toasts;
  #depth = 0;
  /** What is done with the chosen file, if it is not just another upload. @type {((file: File) => void) | null} */
  #use = null;
  #files = el('input', { attrs: { type: 'file', multiple: true, hidden: true, 'aria-label': 'Files to upload' } });
  #directory = el('input', {
    attrs: { type: 'file', webkitdirectory: true, hidden: true, 'aria-label': 'Folder to upload' },
  });

  /**
   * @param {object} parts
   * @param {import('./upload-queue.js').UploadQueue} parts.queue
   * @param {import('./session.js').Session} parts.session
   * @param {() => string | null | undefined} parts.folder the folder that the gallery shows.
   * @param {import('./toast.js').ToastList} parts.toasts
   */
  constructor({ queue, session, folder, toasts }) {
    super();
    this.#queue = queue;
    this.#session = session;
    this.#folder = folder;
    this.#toasts = toasts;
  }

  connectedCallback() {
    this.popover = 'manual';
    this.setAttribute('role', 'status'); // what would happen to the files is announced
    document.body.append(this.#files, this.#directory);
    this.#files.addEventListener('change', () => this.#takeFiles());
    this.#directory.addEventListener('change', () => this.#takeFolder());
    addEventListener('dragenter', (event) => this.#enter(event));
    addEventListener('dragover', (event) => this.#over(event));
    addEventListener('dragleave', (event) => this.#leave(event));
    addEventListener('drop', () => this.#close());
    addEventListener('pointermove', () => this.#depth > 0 && this.#close()); // never during a drag, so its end was missed
    takeFiles((incoming) => this.#take(incoming));
  }

  /** Return the folder for new uploads, with a slash at its end; empty for the folder of all uploads. */
  get folder() {
    return folderPrefix(this.#folder() || this.#session.access?.folder);
  }

  chooseFiles() {
    this.#use = null;
    this.#files.multiple = true;
    this.#files.click();
  }

  chooseFolder() {
    this.#directory.click();
  }

  /**
   * Choose one file for something else than just another upload.
   *
   * @param {(file: File) => void} use
   */
  chooseFile(use) {
    this.#use = use;
    this.#files.multiple = false;
    this.#files.click();
  }

  #takeFiles() {
    const files = chosen(this.#files);
    if (this.#use === null) this.#add(files.map((file) => ({ file, path: file.name })));
    else if (files.length) this.#use(files[0]);
    this.#use = null;
  }

  #takeFolder() {
    const found = chosen(this.#directory).map((file) => ({ file, path: file.webkitRelativePath }));
    const visible = found.filter(({ path }) => !path.split('/').some((part) => CLUTTER.test(part)));
    this.#report({ found: visible, hidden: found.length - visible.length, unreadable: [] });
  }

  /** @param {Found[]} found */
  #add(found) {
    const { folder } = this;
    this.#queue.add(inOrder(found).map(({ file, path }) => ({ file, name: folder + path })));
  }

  /** @param {Reading} reading */
  #report({ found, hidden, unreadable }) {
    if (found.length) this.#add(found);
    const skipped = hidden ? `${hidden} hidden ${hidden === 1 ? 'file was' : 'files were'} skipped.` : '';
    if (unreadable.length) {
      const problems = unreadable.map((name) => ({ name, reason: 'cannot be read' }));
      this.#toasts.show({ kind: 'problem', text: `Some files cannot be read. ${skipped}`.trim(), problems });
    } else if (!found.length) {
      this.#toasts.show({ text: `There is no file to upload. ${skipped}`.trim() });
    } else if (hidden) {
      this.#toasts.show({ text: skipped });
    }
  }

  /** @param {DragEvent} event */
  #enter(event) {
    if (!isFileDrag(event)) return;
    this.#depth += 1;
    if (this.#depth > 1 || this.#session.state !== 'signed-in') return;
    const { folder } = this;
    const target = folder ? ['Drop to upload to ', bdi(folder)] : ['Drop to upload'];
    fill(
      this,
      el(
        'p',
        {},
        icon('upload'),
        el('strong', {}, ...(this.#mayUpload ? target : ['This key may not upload'])),
        el('span', {}, this.#mayUpload ? 'Files and folders of images' : NEEDS_SCOPE),
      ),
    );
    this.showPopover();
  }

  /** @param {DragEvent} event */
  #over(event) {
    if (isFileDrag(event) && event.dataTransfer) event.dataTransfer.dropEffect = this.#mayUpload ? 'copy' : 'none';
  }

  /** @param {DragEvent} event */
  #leave(event) {
    if (!isFileDrag(event)) return;
    this.#depth = Math.max(0, this.#depth - 1);
    if (this.#depth === 0) this.hidePopover();
  }

  #close() {
    this.#depth = 0;
    this.hidePopover();
  }

  /** @param {import('./incoming.js').Incoming} incoming */
  async #take({ items, isPasted }) {
    if (!this.#mayUpload) this.#toasts.show({ kind: 'problem', text: `This key may not upload. ${NEEDS_SCOPE}` });
    else if (isPasted) this.#add(items.flatMap(({ file }) => (file ? [{ file, path: pastedName(file) }] : [])));
    else this.#report(await readDropped(items));
  }

  get #mayUpload() {
    return this.#session.can('upload');
  }
}

/**
 * Sort files by their paths, with numbers by their value: file systems return the files of a folder in any order.
 * A collator would take a second for 100,000 files.
 *
 * @param {Found[]} found
 */
function inOrder(found) {
  const key = (/** @type {string} */ path) => path.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(DIGITS, '0'));
  const keyed = found.map((each) => ({ key: key(each.path), each }));
  return keyed.sort((a, b) => Number(a.key > b.key) - Number(a.key < b.key)).map(({ each }) => each);
}

/**
 * Return the files that were chosen, and make it possible to choose the same ones again.
 *
 * @param {HTMLInputElement} input
 */
function chosen(input) {
  const files = [...(input.files ?? [])];
  input.value = '';
  return files;
}

/**
 * A pasted picture has no name of its own.
 *
 * @param {File} file
 */
function pastedName({ name, type }) {
  return name === 'image.png' ? screenshotName(new Date(), type) : name;
}

/**
 * Read all dropped files, and all files in dropped folders.
 *
 * @param {import('./incoming.js').Incoming['items']} items
 * @returns {Promise<Reading>}
 */
async function readDropped(items) {
  /** @type {Reading} */
  const reading = { found: [], hidden: 0, unreadable: [] };
  for (const { entry, file } of items) {
    if (entry) await readEntry(entry, reading);
    else if (file) reading.found.push({ file, path: file.name });
  }
  return reading;
}

/**
 * @param {FileSystemEntry} entry
 * @param {Reading} reading
 */
async function readEntry(entry, reading) {
  const path = entry.fullPath.replace(/^\//, '');
  try {
    if (entry.isFile) reading.found.push({ file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)), path });
    else await readFolder(/** @type {FileSystemDirectoryEntry} */ (entry), reading);
  } catch {
    reading.unreadable.push(path);
  }
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @param {Reading} reading
 */
async function readFolder(folder, reading) {
  const reader = folder.createReader();
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 in Chromium
    if (!batch.length) return;
    for (const entry of batch) {
      if (CLUTTER.test(entry.name)) reading.hidden += 1;
      else await readEntry(entry, reading);
    }
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

customElements.define('drop-target', DropTarget);
