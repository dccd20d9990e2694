// Keeps the tabs of one browser in step: what one tab learns about an upload, the others read soon.

/**
 * @param {object} parts
 * @param {string} parts.stack
 * @param {import('./statuses.js').Statuses} parts.statuses
 * @param {import('./actions.js').Actions} parts.actions
 */
export function keepTabsInStep({ stack, statuses, actions }) {
  const channel = new BroadcastChannel(`image-pipeline:${stack}:changes`);
  statuses.addEventListener('outcome', (event) => channel.postMessage([/** @type {CustomEvent} */ (event).detail.key]));
  actions.addEventListener('change', (event) => channel.postMessage(/** @type {CustomEvent} */ (event).detail));
  channel.addEventListener('message', ({ data }) => {
    for (const key of data) statuses.renew(key);
  });
}
