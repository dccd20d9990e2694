// What people do with images: upload, open, change. It is loaded after the gallery, so that pictures appear sooner.

import { Actions } from './actions.js';
import { ConflictDialog } from './conflict-dialog.js';
import { ImageDetail } from './detail.js';
import { DropTarget } from './drop.js';
import { LeaveDialog } from './leave-dialog.js';
import { watchLongPresses } from './long-press.js';
import { nameOf } from './picture.js';
import { SelectionBar } from './selection-bar.js';
import { Statuses } from './statuses.js';
import { keepTabsInStep } from './tabs.js';
import { ToastList } from './toast.js';
import { UploadPanel } from './upload-panel.js';
import { UploadPreviews } from './upload-previews.js';
import { UploadQueue } from './upload-queue.js';

/**
 * @typedef {object} Parts
 * @property {string} stack
 * @property {import('./api.js').Api} api
 * @property {import('./session.js').Session} session
 * @property {import('./query.js').Query} query
 * @property {import('./selection.js').Selection} selection
 * @property {import('./listing.js').Listing} listing
 * @property {import('./gallery.js').ImageGallery} gallery
 *
 * @typedef {ReturnType<typeof createWorkbench>} Workbench
 */

/** @param {Parts} parts */
export function createWorkbench({ stack, api, session, query, selection, listing, gallery }) {
  const statuses = new Statuses({ api, session, listing });
  const toasts = new ToastList();
  const conflicts = new ConflictDialog();
  const ask = conflicts.ask.bind(conflicts);
  const actions = new Actions({ api, listing, statuses, selection, toasts });
  const queue = new UploadQueue({ api, session, statuses, ask });
  const drop = new DropTarget({ queue, session, folder: () => query.filters.prefix, toasts });
  const open = (/** @type {string} */ key) => query.open(key);
  const replace = (/** @type {string} */ name) => drop.chooseFile((file) => queue.add([{ file, name, replaces: true }]));
  const choose = (/** @type {number} */ id) => drop.chooseFile((file) => queue.choose(id, file));
  const focusOn = (/** @type {string} */ key) => gallery.focusOn(key);
  const panel = new UploadPanel({ queue, listing, actions, toasts, open, replace, choose });
  const detail = new ImageDetail({ api, session, query, listing, statuses, selection, actions, toasts, replace, focusOn });
  const leave = new LeaveDialog({ stack, queue, session });
  new UploadPreviews({ queue, listing });
  listing.addEventListener('change', (event) => {
    const { key } = /** @type {CustomEvent<{ key: string | null }>} */ (event).detail;
    const picture = key === null ? undefined : listing.find(key);
    if (picture) queue.follow(picture);
  });
  gallery.addEventListener('tile-renew', (event) => statuses.renew(/** @type {CustomEvent} */ (event).detail.key));
  watchLongPresses(gallery);
  keepTabsInStep({ stack, statuses, actions });
  document.body.append(new SelectionBar({ selection, listing, session, actions, focusOn }), detail, panel, conflicts, leave, toasts, drop);

  /** @param {{ action: string, key: string }} request what a button of a tile or a key asks for. */
  const run = ({ action, key }) => {
    const keys = selection.has(key) ? [...selection.keys] : [key];
    if (action === 'replace') replace(nameOf(key));
    else if (action === 'reprocess') actions.reprocess([key]);
    else if (action === 'restore') actions.restore([key]);
    else if (action === 'delete') actions.remove(keys.filter((each) => listing.find(each)?.state !== 'DELETED'));
  };
  return { run, chooseFiles: () => drop.chooseFiles(), chooseFolder: () => drop.chooseFolder() };
}
