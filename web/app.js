// Creates all parts of the page once, and connects them.

import { accountMenu } from './account.js';
import { ApiError, createApi, readAccess, wait } from './api.js';
import { mark } from './brand.js';
import { bdi, el, fill } from './dom.js';
import { listFailed } from './empty.js';
import { FilterBar } from './filters.js';
import { galleryEnd } from './gallery-end.js';
import { ImageGallery } from './gallery.js';
import { icon } from './icons.js';
import { Listing } from './listing.js';
import { attachMenu, menuItem } from './menu.js';
import { offlineNotice } from './notice.js';
import { Query } from './query.js';
import { Selection } from './selection.js';
import { Session } from './session.js';
import { Statuses } from './statuses.js';

const REFRESH = 10_000;
const ATTEMPTS = 5;
const WORKBENCH_STYLES = ['uploads', 'detail', 'actions'];

/** @type {Promise<typeof import('./sign-in.js')> | undefined} */
let signIn;

const stack = setting('stack');
const session = new Session({ stack, kind: setting('authorization') === 'token' ? 'token' : 'key', readAccess });
session.addEventListener('change', enter);
addEventListener('hashchange', start); // a link that signs in was opened in this tab
start();

/** @param {string} name */
function setting(name) {
  return document.querySelector(`meta[name="image-pipeline:${name}"]`)?.getAttribute('content') ?? '';
}

/** Sign in with the credential that the address or the browser has, or ask for one. */
async function start() {
  try {
    await session.resume();
    if (session.state === 'signed-out') showSignIn(null);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (session.state !== 'signed-out') return; // the page works with another credential
    if (error.kind === 'unauthorized' || error.kind === 'forbidden') showSignIn(error);
    else fill(document.body, el('main', {}, listFailed(error.message, () => location.reload())));
  }
}

/** @param {unknown} error */
async function showSignIn(error) {
  const { signInForm } = await loadSignIn().catch(() => ({ signInForm: null }));
  if (signInForm === null) {
    const sentence = 'The page could not be loaded completely. Check the connection, then try again.';
    fill(document.body, el('main', {}, listFailed(sentence, () => location.reload())));
    return;
  }
  if (session.state !== 'signed-out') return; // a link has signed in meanwhile
  fill(document.body, el('main', { class: 'sign-in-page' }, signInForm({ session, stack, error })));
  document.getElementById('credential')?.focus();
}

function enter() {
  if (session.state !== 'signed-in') return;
  session.removeEventListener('change', enter);
  showGallery();
}

function showGallery() {
  const api = createApi(session);
  const query = new Query();
  const selection = new Selection();
  const listing = new Listing({ api });
  const statuses = new Statuses({ api, session, listing });
  const gallery = new ImageGallery();
  const parts = { api, session, query, selection, listing, statuses, gallery };
  const first = listing.show(query.filters);
  const workbench = first.then(painted).then(loadWorkbench).then(({ createWorkbench }) => createWorkbench({ ...parts, stack }));
  const choose = async () => (await workbench).chooseFiles();

  gallery.connect(parts);
  gallery.addEventListener('picture-action', async (event) => (await workbench).run(/** @type {CustomEvent} */ (event).detail));
  const bar = topBar({ query, listing, workbench });
  const end = galleryEnd({ listing, query, session, choose });
  fill(document.body, offlineNotice(api), bar, el('main', { attrs: { 'aria-label': 'Images' } }, gallery, end));
  watchBar(bar);
  keepSession({ api, listing, statuses });
  keepFresh({ api, query, listing, statuses, selection, gallery });
}

/** Wait until the first pictures have been requested, so that nothing is loaded before them. */
async function painted() {
  if (document.hidden) return; // nothing is painted
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))));
}

/** Load what is not needed for the first pictures. The form too: later, the API may refuse the credential. */
async function loadWorkbench() {
  const [workbench] = await Promise.all([load(() => import('./workbench.js'), WORKBENCH_STYLES), loadSignIn()]);
  return workbench;
}

function loadSignIn() {
  signIn ??= load(() => import('./sign-in.js'), ['sign-in']);
  return signIn;
}

/**
 * Load a module and its style sheets. A connection that fails for a moment must not leave a page without its buttons.
 *
 * @template Module
 * @param {() => Promise<Module>} importModule
 * @param {string[]} styles
 */
async function load(importModule, styles) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const [module] = await Promise.all([importModule(), ...styles.map(loadStyle)]);
      return module;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await wait(1000 * attempt);
    }
  }
}

/** @param {string} name */
function loadStyle(name) {
  return new Promise((resolve, reject) => {
    const href = new URL(`styles/${name}.css`, import.meta.url).href;
    document.head.append(el('link', { attrs: { rel: 'stylesheet', href }, on: { load: resolve, error: reject } }));
  });
}

/**
 * @param {object} parts
 * @param {Query} parts.query
 * @param {Listing} parts.listing
 * @param {Promise<import('./workbench.js').Workbench>} parts.workbench
 */
function topBar({ query, listing, workbench }) {
  const canUpload = session.can('upload');
  const files = async () => (await workbench).chooseFiles();
  const folder = async () => (await workbench).chooseFolder();
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
 * @param {Statuses} parts.statuses
 */
function keepSession({ api, listing, statuses }) {
  api.addEventListener('unauthorized', (event) => session.expire(/** @type {CustomEvent} */ (event).detail));
  session.addEventListener('change', () => {
    if (session.state === 'expired') askForCredential();
    if (session.state === 'signed-out') setTimeout(() => location.replace(location.pathname));
    if (session.state !== 'signed-in') return;
    listing.reload();
    statuses.hurry();
  });
}

async function askForCredential() {
  const { askAgain } = await loadSignIn();
  if (session.state === 'expired') askAgain({ session, stack });
}

/**
 * Follow the filters, and what other people and tabs change.
 *
 * @param {object} parts
 * @param {import('./api.js').Api} parts.api
 * @param {Query} parts.query
 * @param {Listing} parts.listing
 * @param {Statuses} parts.statuses
 * @param {Selection} parts.selection
 * @param {ImageGallery} parts.gallery
 */
function keepFresh({ api, query, listing, statuses, selection, gallery }) {
  query.addEventListener('filters', () => {
    selection.clear();
    listing.show(query.filters);
  });
  selection.addEventListener('change', () => gallery.classList.toggle('selecting', selection.size > 0));
  api.addEventListener('reachable', () => {
    if (!api.reachable) return;
    statuses.hurry();
    if (listing.error) listing.retry();
    else listing.refresh();
  });
  const refresh = () => {
    if (!document.hidden && api.reachable && session.state === 'signed-in') listing.refresh();
  };
  document.addEventListener('visibilitychange', refresh);
  setInterval(refresh, REFRESH);
}
