// A long press on a touch screen selects a picture, as the check mark does for a mouse.

const LONG = 500; // milliseconds
const SLACK = 10; // pixels that a resting finger may move

/** @param {HTMLElement} gallery */
export function watchLongPresses(gallery) {
  /** @type {{ check: HTMLElement, x: number, y: number, timer: ReturnType<typeof setTimeout> } | null} */
  let press = null;
  let isDone = false;

  const stop = () => {
    clearTimeout(press?.timer);
    press = null;
  };
  const select = () => {
    if (!press || isDone) return;
    isDone = true;
    press.check.click();
  };
  gallery.addEventListener('pointerdown', ({ pointerType, isPrimary, target, clientX, clientY }) => {
    stop();
    isDone = false;
    const check = /** @type {Element} */ (target).closest('.tile-link')?.parentElement?.querySelector('.tile-check');
    if (pointerType !== 'touch' || !isPrimary || !(check instanceof HTMLElement)) return;
    press = { check, x: clientX, y: clientY, timer: setTimeout(select, LONG) };
  });
  gallery.addEventListener('pointermove', ({ clientX, clientY }) => {
    if (press && Math.hypot(clientX - press.x, clientY - press.y) > SLACK) stop();
  });
  gallery.addEventListener('pointerup', stop);
  gallery.addEventListener('pointercancel', stop);
  // Some browsers show a menu for the link before the time is over.
  gallery.addEventListener('contextmenu', (event) => {
    if (!press) return;
    event.preventDefault();
    select();
  });
  // Lifting the finger may be a click, too.
  gallery.addEventListener(
    'click',
    (event) => {
      if (!isDone || !event.isTrusted) return;
      isDone = false;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true },
  );
}
