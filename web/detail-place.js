// Where the details are: beside the gallery on wide screens, on the whole screen elsewhere.

export const WIDE = '(width >= 1100px)';

// The rest of the page stays usable while an image fills the screen.
const NEVER_INERT = 'toast-list, drop-target, conflict-dialog, input';

/**
 * @param {HTMLElement} detail
 * @param {'side' | 'full' | 'closed'} place
 */
export function placeDetail(detail, place) {
  const isFull = place === 'full';
  if (place === 'closed') delete document.documentElement.dataset.detail;
  else document.documentElement.dataset.detail = place;
  detail.hidden = place === 'closed';
  detail.setAttribute('role', isFull ? 'dialog' : 'region');
  if (isFull) detail.setAttribute('aria-modal', 'true');
  else detail.removeAttribute('aria-modal');
  for (const element of document.body.children) {
    if (element === detail || element.matches(NEVER_INERT) || !(element instanceof HTMLElement)) continue;
    element.inert = isFull;
  }
}
