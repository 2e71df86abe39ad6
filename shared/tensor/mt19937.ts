/**
 * MT19937, the 32-bit Mersenne Twister (Matsumoto and Nishimura, 1998; the seeding is that of 2002):
 * the source of random bits behind torch's CPU generator.
 *
 * @module
 */

/** Words of state (n of the paper), and the distance of the recurrence (m). */
const STATE_WORDS = 624, SHIFT = 397;

export class Mt19937 {
  readonly #state = new Uint32Array(STATE_WORDS);
  #next = STATE_WORDS;

  /** @param seed its low 32 bits count */
  constructor(seed: number | bigint) {
    const state = this.#state;
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = state[i - 1]!;
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** The next 32 random bits, as a whole number from 0 to 2^32 - 1. */
  random32(): number {
    if (this.#next === STATE_WORDS) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let k = 0; k < STATE_WORDS; k++) {
      const y = (state[k]! & 0x80000000) | (state[(k + 1) % STATE_WORDS]! & 0x7fffffff);
      state[k] = state[(k + SHIFT) % STATE_WORDS]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
