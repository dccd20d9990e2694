// Load parts of the page when they are needed: modules with their style sheets.

import { wait } from './api.js';
import { el } from './dom.js';

const ATTEMPTS = 5;

/**
 * Return a function that loads a part once. If it fails, the next call tries again.
 *
 * @template Module
 * @param {() => Promise<Module>} importModule
 * @param {string[]} styles
 * @returns {() => Promise<Module>}
 */
export function lazy(importModule, styles) {
  /** @type {Promise<Module> | null} */
  let loading = null;
  return () => {
    loading ??= load(importModule, styles).catch((error) => {
      loading = null;
      throw error;
    });
    return loading;
  };
}

/**
 * A connection that fails for a moment must not leave a page without its buttons.
 *
 * @template Module
 * @param {() => Promise<Module>} importModule
 * @param {string[]} styles
 */
async function load(importModule, styles) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const [module] = await Promise.all([importModule(), ...styles.map(loadStyle)]);
      return module;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await wait(1000 * attempt);
    }
  }
}

/** @param {string} name */
function loadStyle(name) {
  return new Promise((resolve, reject) => {
    const href = new URL(`styles/${name}.css`, import.meta.url).href;
    document.head.append(el('link', { attrs: { rel: 'stylesheet', href }, on: { load: resolve, error: reject } }));
  });
}
