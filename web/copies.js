// What can be copied of an image: HTML, and the addresses of its renditions.

import { pictureMarkup, renditionAddress } from './markup.js';

/** @typedef {import('./markup.js').Rendition} Rendition */

export class Copies {
  #key;
  #image;
  #isPublic;
  #toasts;

  /**
   * @param {object} parts
   * @param {string} parts.key
   * @param {any} parts.image the part of a record that describes the processed image.
   * @param {import('./session.js').Session} parts.session
   * @param {import('./toast.js').ToastList} parts.toasts
   */
  constructor({ key, image, session, toasts }) {
    this.#key = key;
    this.#image = image;
    this.#isPublic = session.access?.publicStatus ?? false;
    this.#toasts = toasts;
  }

  /** Whether there is anything to copy. */
  get exist() {
    return this.#markup !== null;
  }

  /** How long copied addresses are valid, for people. */
  get validity() {
    if (this.#isPublic) return 'Copied addresses do not expire.';
    const expiresAt = this.#renditions[0]?.urlExpiresAt;
    const until = expiresAt ? `at ${new Intl.DateTimeFormat(undefined, { timeStyle: 'short' }).format(new Date(expiresAt))}` : 'soon';
    return `This stack shows images only with a key, so copied addresses expire ${until}.`;
  }

  copyMarkup() {
    return this.copy(this.#markup ?? '', 'The <picture>');
  }

  /** Copy the address of the largest rendition in a format that every browser shows. */
  copyLink() {
    const common = this.#renditions.filter(({ format }) => format === 'JPEG' || format === 'PNG');
    const [largest] = [...(common.length ? common : this.#renditions)].reverse().sort((a, b) => b.width - a.width);
    return this.copy(this.addressOf(largest), 'The link');
  }

  /**
   * @param {string} text
   * @param {string} what
   */
  async copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      this.#toasts.show({ text: `${what} was copied.` });
    } catch {
      this.#toasts.show({ kind: 'problem', text: 'The browser does not let this page copy. Allow it in the settings of the page.' });
    }
  }

  /** @param {Rendition} rendition */
  addressOf(rendition) {
    return renditionAddress(this.#key, rendition, this.#addresses);
  }

  /** @returns {any[]} */
  get #renditions() {
    return this.#image.renditions ?? [];
  }

  get #markup() {
    return pictureMarkup(this.#key, this.#image, this.#addresses);
  }

  get #addresses() {
    return { origin: location.origin, isPublic: this.#isPublic };
  }
}
