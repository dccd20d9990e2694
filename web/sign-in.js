// The form that asks for a key or a token.

import { ApiError } from './api.js';
import { bdi, el, fill } from './dom.js';
import { icon, mark } from './icons.js';

const TEXTS = {
  key: { name: 'API key', wrong: 'This key is unknown, revoked or expired.', hint: 'Create one with image-pipeline keys create.' },
  token: { name: 'Access token', wrong: 'This token is invalid or expired.', hint: 'Get one from your identity provider.' },
};

/**
 * Make the form.
 *
 * @param {object} options
 * @param {import('./session.js').Session} options.session
 * @param {string} options.stack
 * @param {boolean} [options.again] whether the visitor was signed in before.
 * @param {unknown} [options.error] why an attempt before failed.
 */
export function signInForm({ session, stack, again = false, error = null }) {
  const texts = TEXTS[session.kind];
  const alert = el('p', { class: 'sign-in-error', attrs: { id: 'sign-in-error', role: 'alert', hidden: true } });
  const input = el('input', {
    class: 'input',
    attrs: {
      id: 'credential',
      type: 'password',
      autocomplete: 'off',
      spellcheck: 'false',
      autocapitalize: 'none',
      required: true,
      autofocus: true,
      'aria-describedby': 'sign-in-hint',
    },
  });
  const remember = el('input', { attrs: { type: 'checkbox' } });
  const button = el('button', { class: 'button primary' }, 'Sign in');

  const complain = (/** @type {unknown} */ problem) => {
    const isWrong = problem instanceof ApiError && problem.kind === 'unauthorized';
    const text = isWrong ? texts.wrong : problem instanceof Error ? problem.message : '';
    fill(alert, icon('alert'), el('span', {}, text));
    alert.hidden = false;
    input.setAttribute('aria-invalid', String(isWrong));
    input.setAttribute('aria-describedby', 'sign-in-error sign-in-hint');
  };

  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await session.signIn(input.value, { remember: remember.checked });
    } catch (problem) {
      complain(problem);
      input.select();
    } finally {
      button.disabled = false;
    }
  };

  if (error) complain(error);
  return el(
    'form',
    { class: 'sign-in', attrs: { 'aria-labelledby': 'sign-in-title' }, on: { submit } },
    el(
      'div',
      { class: 'sign-in-head' },
      again ? null : mark(),
      el(again ? 'h2' : 'h1', { attrs: { id: 'sign-in-title' } }, again ? 'Sign in again' : bdi(stack)),
      el('p', { class: 'soft' }, again ? `The API no longer accepts your ${texts.name}. Uploads wait until you sign in.` : 'Sign in to see and upload images.'),
    ),
    alert,
    el(
      'div',
      { class: 'field' },
      el('label', { attrs: { for: 'credential' } }, texts.name),
      input,
      el('p', { class: 'soft hint', attrs: { id: 'sign-in-hint' } }, texts.hint),
    ),
    el('label', { class: 'check-field' }, remember, 'Keep me signed in on this device'),
    button,
  );
}

/**
 * Ask for another credential, above the page. The dialog closes when the visitor has signed in.
 *
 * @param {object} options
 * @param {import('./session.js').Session} options.session
 * @param {string} options.stack
 */
export function askAgain({ session, stack }) {
  const signOut = el('button', { class: 'button quiet', attrs: { type: 'button' }, on: { click: () => session.signOut() } }, 'Sign out');
  const dialog = el('dialog', { class: 'dialog', attrs: { 'aria-labelledby': 'sign-in-title' } }, signInForm({ session, stack, again: true }), signOut);
  dialog.addEventListener('cancel', (event) => event.preventDefault()); // nothing works without a credential
  session.addEventListener('change', () => dialog.remove(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}
