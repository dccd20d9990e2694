// The mark of the page: two pictures, one behind the other.

import { svg } from './dom.js';

export function mark() {
  return svg(
    'svg',
    { class: 'mark', attrs: { viewBox: '0 0 24 24', 'aria-hidden': 'true', focusable: 'false' } },
    svg('rect', { class: 'back', attrs: { x: 6, y: 2, width: 16, height: 14, rx: 3 } }),
    svg('rect', { class: 'front', attrs: { x: 2, y: 7, width: 17, height: 15, rx: 3.5 } }),
    svg('path', { class: 'hills', attrs: { d: 'M2 18.5 7 13l4.5 4.5 2.5-2.5 5 4.7a3.5 3.5 0 0 1-3.5 2.3h-10a3.5 3.5 0 0 1-3.5-3.5Z' } }),
  );
}
