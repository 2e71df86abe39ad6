/** How long bytes are under way to one worker and back, from its newest ranges. @module */

/** Ranges that are remembered. */
const KEPT = 16;
/** A link may become so many times slower than it was at its best. */
const FACTOR = 4;

export class TravelTimes {
  readonly #msPerByte: number[] = [];
  readonly #slowestMsPerByte: number;

  /** @param bytesPerSecond of a link on which nothing was measured yet, at least */
  constructor(bytesPerSecond: number) {
    this.#slowestMsPerByte = 1000 / bytesPerSecond;
  }

  /** @param ms of a whole range, without what its worker says that it waited and computed */
  add(bytes: number, ms: number): void {
    if (bytes === 0) return;
    if (this.#msPerByte.push(Math.max(0, ms) / bytes) > KEPT) this.#msPerByte.shift();
  }

  /** Goes by the fastest of those ranges: in others a graph was built, or this process was busy. */
  longestMs(bytes: number): number {
    return bytes *
      (this.#msPerByte.length === 0
        ? this.#slowestMsPerByte
        : FACTOR * Math.min(...this.#msPerByte));
  }
}
