// The speed of a transfer over the last seconds.

const WINDOW_MILLISECONDS = 5000;
const MIN_MILLISECONDS = 700; // a speed over a shorter time would jump

export class SpeedMeter {
  /** @type {{time: number, bytes: number}[]} */
  #samples = [];

  /**
   * @param {number} bytes all bytes sent so far
   * @param {number} [time] milliseconds
   */
  add(bytes, time = performance.now()) {
    const last = this.#samples.at(-1);
    if (last && bytes < last.bytes) this.#samples = []; // an attempt started again
    this.#samples.push({ time, bytes });
    while (this.#samples.length > 2 && this.#samples[1].time < time - WINDOW_MILLISECONDS) this.#samples.shift();
  }

  /**
   * Return bytes per second; null while it is not known.
   * @param {number} [time] milliseconds
   * @returns {number | null}
   */
  speed(time = performance.now()) {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || time - first.time < MIN_MILLISECONDS) return null;
    return (1000 * (last.bytes - first.bytes)) / (time - first.time);
  }

  clear() {
    this.#samples = [];
  }
}
