// Creates all parts of the page once, and connects them.

import { accountMenu } from './account.js';
import { Api, ApiError, readAccess } from './api.js';
import { bdi, el, fill } from './dom.js';
import { listFailed } from './empty.js';
import { FilterBar } from './filters.js';
import { galleryEnd } from './gallery-end.js';
import { ImageGallery } from './gallery.js';
import { icon, mark } from './icons.js';
import { Listing } from './listing.js';
import { lazy } from './load.js';
import { attachMenu, menuItem } from './menu.js';
import { incompleteNotice, offlineNotice } from './notice.js';
import { Query } from './query.js';
import { Selection } from './selection.js';
import { Session } from './session.js';

const REFRESH = 10_000;

const loadWorkbench = lazy(() => import('./workbench.js'), ['uploads', 'detail', 'actions']);
const loadSignIn = lazy(() => import('./sign-in.js'), ['sign-in']);
const stack = setting('stack');
const session = new Session({ stack, kind: setting('authorization') === 'token' ? 'token' : 'key', readAccess });
const api = new Api(session);
const query = new Query();
const listing = new Listing({ api });
/** @type {Promise<void> | null} */
let listed = null;
session.addEventListener('change', enter);
addEventListener('hashchange', start); // a link that signs in was opened in this tab
start();

/**
 * @typedef {(run: (workbench: import('./workbench.js').Workbench) => void) => void} WithWorkbench runs something as soon
 *   as the workbench is loaded.
 */

/** @param {string} name */
function setting(name) {
  return document.querySelector(`meta[name="image-pipeline:${name}"]`)?.getAttribute('content') ?? '';
}

/**
 * Sign in with the credential that the address or the browser has, or ask for one. The first images are listed at the
 * same time, so that the functions of both requests start together.
 */
async function start() {
  try {
    const resumed = session.resume();
    if (session.state === 'signed-out' && session.credential !== null) listed = listing.show(query.filters);
    await resumed;
    if (session.state === 'signed-out') showSignIn(null);
  } catch (error) {
    listed = null;
    if (!(error instanceof ApiError)) throw error;
    if (session.state !== 'signed-out') return; // the page works with another credential
    if (error.kind === 'unauthorized' || error.kind === 'forbidden') showSignIn(error);
    else fill(document.body, el('main', {}, listFailed(error.message, () => location.reload())));
  }
}

/** @param {unknown} error */
async function showSignIn(error) {
  const signIn = await loadSignIn().catch(sayIncomplete);
  if (!signIn || session.state !== 'signed-out') return; // a link has signed in meanwhile
  fill(document.body, el('main', { class: 'sign-in-page' }, signIn.signInForm({ session, stack, error })));
  document.getElementById('credential')?.focus();
}

function enter() {
  if (session.state !== 'signed-in') return;
  session.removeEventListener('change', enter);
  showGallery();
}

function showGallery() {
  const selection = new Selection();
  const gallery = new ImageGallery();
  const parts = { api, session, query, selection, listing, gallery };
  const workbench = (listed ?? listing.show(query.filters)).then(painted).then(() => createWorkbench(parts));
  /** @type {WithWorkbench} */
  const withWorkbench = (run) => void workbench.then(run, sayIncomplete);

  gallery.connect(parts);
  gallery.addEventListener('picture-action', ({ detail }) => withWorkbench(({ run }) => run(detail)));
  const bar = topBar({ query, listing, withWorkbench });
  const end = galleryEnd({ listing, query, session, choose: () => withWorkbench(({ chooseFiles }) => chooseFiles()) });
  fill(document.body, offlineNotice(api), bar, el('main', { attrs: { 'aria-label': 'Images' } }, gallery, end));
  watchBar(bar);
  keepSession({ api, listing });
  keepFresh({ api, query, listing, selection, gallery });
  workbench.catch(sayIncomplete).finally(() => gallery.lookAhead());
}

/** Wait until the first pictures have been requested, so that nothing is loaded before them. */
async function painted() {
  if (document.hidden) return; // nothing is painted
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))));
}

/**
 * Load what is not needed for the first pictures. The form too: later, the API may refuse the credential.
 *
 * @param {Omit<import('./workbench.js').Parts, 'stack'>} parts
 */
async function createWorkbench(parts) {
  preloadWorkbench();
  const [module] = await Promise.all([loadWorkbench(), loadSignIn()]);
  return module.createWorkbench({ ...parts, stack });
}

/** Request all modules of the workbench at once. Otherwise, the browser finds them import by import. */
function preloadWorkbench() {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById('workbench'));
  document.head.append(template.content);
}

/** @param {unknown} error */
function sayIncomplete(error) {
  console.warn(error);
  if (!document.querySelector('.incomplete')) document.body.prepend(incompleteNotice());
}

/**
 * @param {object} parts
 * @param {Query} parts.query
 * @param {Listing} parts.listing
 * @param {WithWorkbench} parts.withWorkbench
 */
function topBar({ query, listing, withWorkbench }) {
  const canUpload = session.can('upload');
  const files = () => withWorkbench(({ chooseFiles }) => chooseFiles());
  const folder = () => withWorkbench(({ chooseFolder }) => chooseFolder());
  const upload = el('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: files } }, icon('upload'), 'Upload');
  const more = el('button', { class: 'button primary more', attrs: { type: 'button', 'aria-label': 'Ways to upload' } }, icon('chevron-down'));
  const build = () => [menuItem([icon('image'), 'Choose files'], files), menuItem([icon('folder'), 'Choose a folder'], folder)];
  return el(
    'header',
    { class: 'bar' },
    el('h1', { class: 'brand' }, mark(), bdi(stack, { class: 'brand-name' })),
    new FilterBar({ query, listing, session }),
    el(
      'div',
      { class: 'bar-end' },
      canUpload && el('div', { class: 'split' }, upload, more, attachMenu(more, { label: 'Ways to upload', build })),
      accountMenu(session),
    ),
  );
}

/**
 * Tell the style sheets how high the bar is, and whether pictures scroll below it.
 *
 * @param {HTMLElement} bar
 */
function watchBar(bar) {
  new ResizeObserver(() => document.documentElement.style.setProperty('--bar-bottom', `${bar.offsetHeight}px`)).observe(bar);
  addEventListener('scroll', () => bar.classList.toggle('scrolled', scrollY > 4), { passive: true });
}

/**
 * Ask for another credential when the API refuses this one, and forget everything when the visitor signs out.
 *
 * @param {object} parts
 * @param {import('./api.js').Api} parts.api
 * @param {Listing} parts.listing
 */
function keepSession({ api, listing }) {
  api.addEventListener('unauthorized', (event) => session.expire(/** @type {CustomEvent} */ (event).detail));
  session.addEventListener('change', () => {
    if (session.state === 'expired') askForCredential();
    if (session.state === 'signed-out') setTimeout(() => location.replace(location.pathname));
    if (session.state === 'signed-in') listing.reload();
  });
}

async function askForCredential() {
  const signIn = await loadSignIn().catch(sayIncomplete);
  if (signIn && session.state === 'expired') signIn.askAgain({ session, stack });
}

/**
 * Follow the filters, and what other people and tabs change.
 *
 * @param {object} parts
 * @param {import('./api.js').Api} parts.api
 * @param {Query} parts.query
 * @param {Listing} parts.listing
 * @param {Selection} parts.selection
 * @param {ImageGallery} parts.gallery
 */
function keepFresh({ api, query, listing, selection, gallery }) {
  query.addEventListener('filters', () => {
    selection.clear();
    listing.show(query.filters);
  });
  selection.addEventListener('change', () => gallery.classList.toggle('selecting', selection.size > 0));
  api.addEventListener('reachable', () => {
    if (!api.reachable) return;
    if (listing.error) listing.retry();
    else listing.refresh();
  });
  const refresh = () => {
    if (!document.hidden && api.reachable && session.state === 'signed-in') listing.refresh();
  };
  document.addEventListener('visibilitychange', refresh);
  setInterval(refresh, REFRESH);
}
