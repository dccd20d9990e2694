// The bars that say that something does not work: the API cannot be reached, or a part of the page is missing.

import { el } from './dom.js';
import { icon } from './icons.js';

const FIRST = 1;
const LONGEST = 15;

/** Say that a part of the page could not be loaded. */
export function incompleteNotice() {
  const reload = el('button', { class: 'button small', attrs: { type: 'button' }, on: { click: () => location.reload() } }, 'Reload');
  const text = 'The page could not be loaded completely. Check the connection, then reload.';
  return el('div', { class: 'notice incomplete', attrs: { role: 'alert' } }, icon('alert'), el('span', {}, text), reload);
}

/**
 * Say that the API cannot be reached, and try to reach it again.
 *
 * @param {import('./api.js').Api} api
 * @returns {HTMLElement}
 */
export function offlineNotice(api) {
  const text = el('span', {});
  const retry = el('button', { class: 'button small', attrs: { type: 'button' } }, 'Retry now');
  const bar = el('div', { class: 'notice', attrs: { role: 'status', hidden: true } }, icon('alert'), text, retry);
  let delay = FIRST;
  let left = 0;
  /** @type {ReturnType<typeof setInterval>} */
  let timer;

  const show = () => (text.textContent = left > 0 ? `The API does not answer. Next attempt in ${left} s.` : 'The API does not answer. Trying again…');

  const attempt = async () => {
    clearInterval(timer);
    left = 0;
    show();
    await api.access().catch(() => null); // whatever the answer is, it shows whether the API can be reached
    if (api.reachable) return;
    left = delay;
    delay = Math.min(LONGEST, delay * 2);
    show();
    timer = setInterval(() => {
      left -= 1;
      if (left <= 0) attempt();
      else show();
    }, 1000);
  };

  retry.addEventListener('click', attempt);
  addEventListener('online', () => !api.reachable && attempt());
  const follow = () => {
    bar.hidden = api.reachable;
    delay = FIRST;
    if (api.reachable) clearInterval(timer);
    else attempt();
  };
  api.addEventListener('reachable', follow);
  if (!api.reachable) follow();
  return bar;
}
