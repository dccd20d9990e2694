// The account menu: what the key may do, and "Sign out".

import { bdi, el } from './dom.js';
import { icon } from './icons.js';
import { attachMenu, menuItem } from './menu.js';

const SCOPES = { read: 'see', upload: 'upload', delete: 'delete and reprocess' };

/** @param {import('./session.js').Session} session */
export function accountMenu(session) {
  const button = el('button', { class: 'icon-button avatar', attrs: { type: 'button', 'aria-label': 'Account' } }, icon('account'));
  const build = () => {
    const { scopes = [], folder = null } = session.access ?? {};
    const may = new Intl.ListFormat('en').format(scopes.map((scope) => SCOPES[scope]));
    return [
      el(
        'div',
        { class: 'account-facts' },
        el('span', { class: 'soft' }, session.kind === 'key' ? 'Signed in with an API key' : 'Signed in with a token'),
        el('span', {}, 'May ', may, ' images'),
        folder && el('span', {}, 'in the folder ', bdi(folder)),
      ),
      el('hr'),
      menuItem([icon('sign-out'), 'Sign out'], () => session.signOut()),
    ];
  };
  return [button, attachMenu(button, { label: 'Account', build })];
}
