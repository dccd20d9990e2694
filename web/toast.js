// Short messages at the bottom of the page, for people who look at it and for people who listen to it.

import { bdi, el, fill } from './dom.js';
import { icon } from './icons.js';

const SECONDS = 8;
const SECONDS_WITH_ACTION = 20;
const LISTED = 5;

/**
 * @typedef {object} ToastAction
 * @property {string} label
 * @property {() => void} run the toast closes before this runs.
 * @property {number} [waitSeconds] how long the button is disabled.
 *
 * @typedef {object} Message
 * @property {string} text
 * @property {'info' | 'problem'} [kind] a problem stays until it is closed.
 * @property {ToastAction[]} [actions]
 * @property {{ name: string, reason: string }[]} [problems] what failed, by name.
 * @property {number} [progress] from 0 to 1; a message with progress stays until it is replaced.
 * @property {string} [about] a message replaces an earlier one about the same. The text, unless there are actions.
 *
 * @typedef {{ show(message: Message): void, close(): void }} Toast `show` replaces the message.
 */

export class ToastList extends HTMLElement {
  #live = el('p', { class: 'visually-hidden', attrs: { role: 'status' } });
  #list = el('div', { class: 'toast-list' });
  /** What is shown, by what it is about. @type {Map<string, Toast>} */
  #shown = new Map();
  /** The action that Ctrl+Z runs. @type {(() => void) | null} */
  #undo = null;

  connectedCallback() {
    this.popover = 'manual'; // above everything, and never inert
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', 'Messages');
    this.append(this.#list, this.#live);
    this.showPopover();
    addEventListener('keydown', (event) => {
      const isUndo = event.key === 'z' && (event.ctrlKey || event.metaKey) && !event.shiftKey;
      if (!isUndo || !this.#undo || /** @type {Element} */ (event.target).closest('input, textarea')) return;
      event.preventDefault();
      this.#undo();
    });
  }

  /**
   * Show a message.
   *
   * @param {Message} message
   * @returns {Toast}
   */
  show(message) {
    const same = this.#shown.get(subjectOf(message) ?? '');
    if (!same) return this.#add(message);
    same.show(message);
    return same;
  }

  /** @param {Message} message */
  #add(message) {
    const box = el('div', { class: 'toast', attrs: { role: 'group', 'aria-label': 'Message' } });
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    /** @type {(() => void) | null} */
    let undo = null;
    let seconds = SECONDS;
    const close = () => {
      clearTimeout(timer);
      if (undo && this.#undo === undo) this.#undo = null;
      this.#forget(toast);
      box.remove();
    };
    const restart = () => {
      clearTimeout(timer);
      if (seconds) timer = setTimeout(close, seconds * 1000);
    };
    const show = (/** @type {Message} */ next) => {
      const { text, kind = 'info', actions = [], problems = [], progress } = next;
      const subject = subjectOf(next);
      this.#forget(toast);
      if (subject !== null) this.#shown.set(subject, toast);
      const isLasting = kind === 'problem' || progress !== undefined;
      seconds = isLasting ? 0 : actions.length ? SECONDS_WITH_ACTION : SECONDS;
      box.dataset.kind = kind;
      fill(
        box,
        kind === 'problem' && icon('alert'),
        el('p', { class: 'toast-text' }, text),
        actions.map((action) => actionButton(action, close)),
        progress === undefined &&
          el('button', { class: 'icon-button', attrs: { type: 'button', 'aria-label': 'Close message' }, on: { click: close } }, icon('close')),
        problems.length > 0 && problemList(problems),
        progress !== undefined && el('progress', { attrs: { max: 1, value: progress, 'aria-label': text } }),
      );
      if (progress === undefined || !box.isConnected) this.announce(text);
      undo = actions.find(({ label }) => label === 'Undo')?.run ?? null;
      if (undo) {
        const run = undo;
        this.#undo = undo = () => {
          close();
          run();
        };
      }
      restart();
    };
    box.addEventListener('pointerenter', () => clearTimeout(timer));
    box.addEventListener('focusin', () => clearTimeout(timer));
    box.addEventListener('pointerleave', restart);
    box.addEventListener('focusout', restart);
    const toast = { show, close };
    show(message);
    this.#list.append(box);
    return toast;
  }

  /** @param {Toast} toast */
  #forget(toast) {
    for (const [subject, shown] of this.#shown) if (shown === toast) this.#shown.delete(subject);
  }

  /**
   * Say a text to people who use a screen reader.
   *
   * @param {string} text
   */
  announce(text) {
    this.#live.textContent = text;
  }
}

/**
 * Return what a message is about; null if it stands for itself, because its actions or its progress are its own.
 *
 * @param {Message} message
 */
function subjectOf({ about, text, actions = [], progress }) {
  return about ?? (actions.length || progress !== undefined ? null : text);
}

/**
 * @param {ToastAction} action
 * @param {() => void} close
 */
function actionButton({ label, run, waitSeconds = 0 }, close) {
  const button = el('button', { class: 'toast-action', attrs: { type: 'button' } }, label);
  button.addEventListener('click', () => {
    close();
    run();
  });
  let left = Math.ceil(waitSeconds);
  const tick = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${label} in ${left} s` : label;
    if (left > 0 && (button.isConnected || left === Math.ceil(waitSeconds))) setTimeout(tick, 1000);
    left -= 1;
  };
  tick();
  return button;
}

/** @param {{ name: string, reason: string }[]} problems */
function problemList(problems) {
  const rest = problems.length - LISTED;
  return el(
    'ul',
    { class: 'toast-problems' },
    problems.slice(0, LISTED).map(({ name, reason }) => el('li', {}, bdi(name), el('span', {}, reason))),
    rest > 0 && el('li', {}, `and ${rest} more`),
  );
}

customElements.define('toast-list', ToastList);
