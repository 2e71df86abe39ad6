/** How long each kind of work takes on one worker, from its newest calls: what deadlines and hedging go by. @module */

/** Calls that are remembered per kind: enough for a p99 that is not the slowest of all times. */
const KEPT = 128;
/** Below this many nothing is said. */
const NEEDED = 8;

interface Times {
  /** In a ring. */
  readonly ms: Float64Array;
  count: number;
}

export class RoundTrips {
  readonly #times = new Map<string, Times>();

  /** @param kind blocks and sizes: what takes equally long every time */
  add(kind: string, ms: number): void {
    const times = this.#times.get(kind);
    // The first call of a kind loads its graph.
    if (!times) this.#times.set(kind, { ms: new Float64Array(KEPT), count: 0 });
    else times.ms[times.count++ % KEPT] = ms;
  }

  /** What 99 of 100 calls stay below; undefined if too few are known. */
  p99(kind: string): number | undefined {
    const times = this.#times.get(kind);
    if (!times || times.count < NEEDED) return undefined;
    const sorted = times.ms.slice(0, Math.min(times.count, KEPT)).sort();
    return sorted[Math.ceil(0.99 * sorted.length) - 1];
  }
}
