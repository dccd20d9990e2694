// What stands below the pictures, or in place of them: loading, an error, or nothing to show.

import { el, fill } from './dom.js';
import { firstVisit, listFailed, noResult } from './empty.js';

/**
 * @param {object} parts
 * @param {import('./listing.js').Listing} parts.listing
 * @param {import('./query.js').Query} parts.query
 * @param {import('./session.js').Session} parts.session
 * @param {() => void} parts.choose chooses files to upload.
 * @returns {HTMLElement}
 */
export function galleryEnd({ listing, query, session, choose }) {
  const element = el('div', { class: 'gallery-end' });
  const announcement = el('p', { class: 'visually-hidden', attrs: { role: 'status' } });
  let shown = '';

  const views = {
    failed: () => listFailed(listing.error?.message ?? '', () => listing.reload()),
    more: () => [
      el('span', {}, 'The next images could not be listed.'),
      el('button', { class: 'button small', attrs: { type: 'button' }, on: { click: () => listing.retry() } }, 'Retry'),
    ],
    loading: () => [el('span', { class: 'spinner', attrs: { 'aria-hidden': 'true' } }), el('span', {}, 'Loading images')],
    filtered: () => noResult(() => query.clear()),
    first: () => firstVisit({ canUpload: session.can('upload'), choose }),
    end: () => null,
  };

  const draw = () => {
    const next = stateOf(listing, query);
    if (next === shown) return;
    shown = next;
    const content = views[next]();
    fill(element, content);
    announcement.textContent = next === 'filtered' ? 'No image matches these filters.' : '';
  };
  listing.addEventListener('change', draw);
  listing.addEventListener('state', draw);
  session.addEventListener('change', () => {
    shown = '';
    draw();
  });
  draw();
  return el('div', {}, element, announcement);
}

/**
 * @param {import('./listing.js').Listing} listing
 * @param {import('./query.js').Query} query
 */
function stateOf(listing, query) {
  const isEmpty = listing.pictures.length === 0;
  if (listing.error) return isEmpty ? 'failed' : 'more';
  if (!isEmpty) return listing.complete ? 'end' : 'loading';
  if (!listing.complete) return 'loading';
  return query.isFiltered ? 'filtered' : 'first';
}
