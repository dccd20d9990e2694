// The account menu: what the key may do, and "Sign out".

import { bdi, el } from './dom.js';
import { icon } from './icons.js';
import { attachMenu, menuItem } from './menu.js';

/** @param {import('./session.js').Session} session */
export function accountMenu(session) {
  const button = el('button', { class: 'icon-button avatar', attrs: { type: 'button', 'aria-label': 'Account' } }, icon('account'));
  const build = () => {
    const { scopes = [], folder = null } = session.access ?? {};
    return [
      el(
        'div',
        { class: 'account-facts' },
        el('span', { class: 'soft' }, session.kind === 'key' ? 'Signed in with an API key' : 'Signed in with a token'),
        el('span', {}, 'Scopes: ', scopes.join(', ')),
        folder && el('span', {}, 'Folder: ', bdi(folder)),
      ),
      el('hr'),
      menuItem([icon('sign-out'), 'Sign out'], () => session.signOut()),
    ];
  };
  return [button, attachMenu(button, { label: 'Account', build })];
}
