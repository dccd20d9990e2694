// A swipe across an element, with a finger or a pen.

const SHORTEST = 48; // pixels

/**
 * @param {HTMLElement} element
 * @param {(step: -1 | 1) => void} go gets 1 for a swipe to the left: to what comes next.
 */
export function watchSwipes(element, go) {
  /** @type {{ x: number, y: number } | null} */
  let start = null;
  element.addEventListener('pointerdown', (event) => {
    start = event.pointerType === 'mouse' || !event.isPrimary ? null : { x: event.clientX, y: event.clientY };
  });
  element.addEventListener('pointercancel', () => (start = null));
  element.addEventListener('pointerup', (event) => {
    if (!start) return;
    const across = event.clientX - start.x;
    const down = event.clientY - start.y;
    start = null;
    if (Math.abs(across) > SHORTEST && Math.abs(across) > 2 * Math.abs(down)) go(across > 0 ? -1 : 1);
  });
}
