// Icons, drawn as lines on a grid of 24 pixels.

import { svg } from './dom.js';

const PATHS = {
  account: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.8-3.6 3.8-5.5 7.5-5.5s6.7 1.9 7.5 5.5',
  alert: 'M12 8.5v4.5M12 16.5v.1M10.3 4.2 2.8 17.5A2 2 0 0 0 4.5 20.5h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z',
  calendar: 'M4 10h16M8 3v4M16 3v4M6 5h12a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2Z',
  camera: 'M4 8h3.5l1.5-2.5h6L16.5 8H20a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1ZM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z',
  check: 'M5 12.5 10 17.5 19 7',
  'chevron-down': 'M6 9.5 12 15.5 18 9.5',
  'chevron-left': 'M14.5 5.5 8 12l6.5 6.5',
  'chevron-right': 'M9.5 5.5 16 12l-6.5 6.5',
  'chevron-up': 'M6 14.5 12 8.5 18 14.5',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5.5l3.5 2',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9V5a1 1 0 0 1 1-1h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-4M5 9h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1Z',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  folder: 'M3.5 18V6.5a1 1 0 0 1 1-1h4.7l2.3 2.5h8a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-15a1 1 0 0 1-1-1Z',
  image: 'M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1ZM4 16.5l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.5h.1',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11.5v5M12 8v.1',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.3 1.3M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.3-1.3',
  more: 'M6 12h.1M12 12h.1M18 12h.1',
  reprocess: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4M20 4.5v5h-5',
  replace: 'M4 8h13M13.5 4.5 17 8l-3.5 3.5M20 16H7M10.5 12.5 7 16l3.5 3.5',
  restore: 'M4.5 12a7.5 7.5 0 1 0 2.2-5.3L4 9.4M4 4.5v5h5M12 8.5v4l2.5 1.5',
  'sign-out': 'M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5',
  tag: 'M3.5 12.5V4.5a1 1 0 0 1 1-1h8L20.5 11.5a1.5 1.5 0 0 1 0 2.1l-6.9 6.9a1.5 1.5 0 0 1-2.1 0ZM8 8h.1',
  trash: 'M4.5 6.5h15M9.5 6.5V4h5v2.5M6.5 6.5l.8 13h9.4l.8-13M10 10.5v5.5M14 10.5v5.5',
  upload: 'M12 20V9M7 13l5-5 5 5M5 4h14',
};

/** @typedef {keyof typeof PATHS} IconName */

/**
 * Create an icon. Screen readers skip it, so a button with only an icon needs an `aria-label`.
 *
 * @param {IconName} name
 */
export function icon(name) {
  return svg(
    'svg',
    { class: 'icon', attrs: { viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' } },
    svg('path', { attrs: { d: PATHS[name] } }),
  );
}

/** The mark of the page: two pictures, one behind the other. */
export function mark() {
  return svg(
    'svg',
    { class: 'mark', attrs: { viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' } },
    svg('rect', { class: 'back', attrs: { x: 6, y: 2, width: 16, height: 14, rx: 3 } }),
    svg('rect', { class: 'front', attrs: { x: 2, y: 7, width: 17, height: 15, rx: 3.5 } }),
    svg('path', { class: 'hills', attrs: { d: 'M2 18.5 7 13l4.5 4.5 2.5-2.5 5 4.7a3.5 3.5 0 0 1-3.5 2.3h-10a3.5 3.5 0 0 1-3.5-3.5Z' } }),
  );
}
