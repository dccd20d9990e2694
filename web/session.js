// Who uses the page: the credential, where it is kept, and what it may do. Another way to sign in, such as OpenID Connect,
// replaces this module and keeps `state`, `access`, `headers`, `can`, `signOut`, `leave`, `expire` and the
// events `change` and `leave`.

import { ApiError } from './api.js';

const LOCAL = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * @typedef {import('./api.js').Access} Access
 * @typedef {'signed-out' | 'signed-in' | 'expired'} SessionState `expired`: the API refuses the credential; the page
 *   keeps what it shows and asks for another one.
 */

/** Emits `change` when `state` or `access` changes, and `leave` before the visitor signs out. */
export class Session extends EventTarget {
  /** @type {string | null} While nobody is signed in, the one whose rights are being read. */
  credential = null;

  /** @type {Access | null} */
  access = null;

  /** @type {SessionState} */
  state = 'signed-out';

  #place;
  #channel;
  #readAccess;

  /**
   * @param {object} options
   * @param {string} options.stack the name of the stack; stacks at one address do not share a credential.
   * @param {'key' | 'token'} options.kind how the credential is sent.
   * @param {(headers: Record<string, string>) => Promise<Access>} options.readAccess
   */
  constructor({ stack, kind, readAccess }) {
    super();
    this.kind = kind;
    this.#readAccess = readAccess;
    this.#place = `image-pipeline:${stack}:credential`;
    this.#channel = new BroadcastChannel(this.#place);
    this.#channel.addEventListener('message', () => this.#forget());
  }

  /** Return the headers that authorize a request. */
  headers() {
    return this.credential === null ? {} : this.#headers(this.credential);
  }

  /**
   * Return whether the credential has a scope.
   *
   * @param {'read' | 'upload' | 'delete'} scope
   */
  can(scope) {
    return this.access?.scopes.includes(scope) ?? false;
  }

  /**
   * Use the credential in the address, or the one that was kept. The address loses it immediately.
   *
   * @throws {ApiError} the API does not accept it, or does not answer.
   */
  async resume() {
    const linked = takeFromAddress();
    const kept = sessionStorage.getItem(this.#place) ?? localStorage.getItem(this.#place);
    const credential = linked ?? kept;
    if (credential) await this.signIn(credential, { remember: localStorage.getItem(this.#place) === credential });
  }

  /**
   * Sign in with a credential.
   *
   * @param {string} text
   * @param {{ remember: boolean }} options keep the credential on this device, not only for this session.
   * @throws {ApiError} the API does not accept it, or does not answer.
   */
  async signIn(text, { remember }) {
    const credential = text.trim();
    if (this.state === 'signed-out') this.credential = credential;
    const access = await this.#readAccess(this.#headers(credential)).catch((error) => {
      if (this.state === 'signed-out' && this.credential === credential) this.credential = null;
      if (error instanceof ApiError && error.kind === 'unauthorized') this.#discard(credential);
      throw error;
    });
    this.credential = credential;
    this.access = access;
    sessionStorage.setItem(this.#place, credential);
    if (remember) localStorage.setItem(this.#place, credential);
    this.#become('signed-in');
  }

  /** Sign out, unless a listener of `leave` prevents it, to ask first. */
  signOut() {
    if (this.dispatchEvent(new Event('leave', { cancelable: true }))) this.leave();
  }

  /** Forget the credential in all tabs and on this device. */
  leave() {
    this.#channel.postMessage('sign-out');
    this.#forget();
  }

  /**
   * The API refused a request. A request with an older credential does not matter.
   *
   * @param {Record<string, string>} headers the headers of that request.
   */
  expire(headers) {
    if (this.state !== 'signed-in' || JSON.stringify(headers) !== JSON.stringify(this.headers())) return;
    if (this.credential) this.#discard(this.credential);
    this.#become('expired');
  }

  #forget() {
    sessionStorage.removeItem(this.#place);
    localStorage.removeItem(this.#place);
    this.credential = null;
    this.access = null;
    this.#become('signed-out');
  }

  /** @param {string} credential */
  #discard(credential) {
    for (const storage of [sessionStorage, localStorage]) {
      if (storage.getItem(this.#place) === credential) storage.removeItem(this.#place);
    }
  }

  /** @param {string} credential */
  #headers(credential) {
    /** @type {Record<string, string>} */
    const headers = this.kind === 'key' ? { 'x-api-key': credential } : { authorization: `Bearer ${credential}` };
    return headers;
  }

  /** @param {SessionState} state */
  #become(state) {
    if (state === 'signed-out' && this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * Return the credential in the fragment of the address, and remove it from the address and the history.
 *
 * Only the local run prints such links, and nobody else knows its keys. Elsewhere, a link with a key of its author would
 * send the uploads of whoever opens it to the author's folder.
 * @returns {string | null}
 */
function takeFromAddress() {
  const linked = new URLSearchParams(location.hash.slice(1)).get('key');
  if (linked !== null) history.replaceState(history.state, '', location.pathname + location.search);
  return LOCAL.includes(location.hostname) ? linked : null;
}
