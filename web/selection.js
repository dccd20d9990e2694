// The pictures that are selected in the gallery. Emits `change`.

export class Selection extends EventTarget {
  /** @type {Set<string>} */
  #keys = new Set();
  /** The key from which a range extends. @type {string | null} */
  #anchor = null;

  /** @returns {ReadonlySet<string>} */
  get keys() {
    return this.#keys;
  }

  get size() {
    return this.#keys.size;
  }

  /** @param {string} key */
  has(key) {
    return this.#keys.has(key);
  }

  /** @param {string} key */
  toggle(key) {
    if (!this.#keys.delete(key)) this.#keys.add(key);
    this.#anchor = key;
    this.#changed();
  }

  /**
   * Select everything from the last toggled picture to this one.
   * @param {string} key
   * @param {readonly string[]} order all keys, in the order of the gallery
   */
  extendTo(key, order) {
    const end = order.indexOf(key);
    const start = this.#anchor === null ? -1 : order.indexOf(this.#anchor);
    if (end < 0) return;
    if (start < 0) {
      this.#anchor = key;
      this.#keys.add(key);
    } else {
      for (const each of order.slice(Math.min(start, end), Math.max(start, end) + 1)) this.#keys.add(each);
    }
    this.#changed();
  }

  /** @param {Iterable<string>} keys */
  replace(keys) {
    this.#keys = new Set(keys);
    this.#changed();
  }

  /** @param {Iterable<string>} keys */
  remove(keys) {
    const before = this.#keys.size;
    for (const key of keys) this.#keys.delete(key);
    if (this.#keys.size !== before) this.#changed();
  }

  clear() {
    this.#anchor = null;
    if (this.#keys.size) this.replace([]);
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
