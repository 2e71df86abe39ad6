/** The part of numpy's legacy generator (`RandomState`) that published metrics draw with. @module */

import { Mt19937 } from "../../shared/tensor/mt19937.ts";

export class NumpyRandom {
  readonly #engine: Mt19937;

  constructor(seed: number) {
    this.#engine = new Mt19937(seed);
  }

  /** `RandomState(seed).permutation(n)`: 0 to n - 1 in an order by chance. */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.upTo(i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** A whole number from 0 to `largest`, by rejection: bits beyond it are drawn anew. */
  upTo(largest: number): number {
    const mask = 2 ** (32 - Math.clz32(largest)) - 1;
    for (;;) {
      const value = (this.#engine.random32() & mask) >>> 0;
      if (value <= largest) return value;
    }
  }
}
