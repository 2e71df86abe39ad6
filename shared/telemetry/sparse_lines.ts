/**
 * Bounds how often something is logged that whoever connects can bring about at will: the first of a kind at once, then at
 * most one in an interval, with the number of those that were left out.
 *
 * @module
 */

export interface SparseLinesOptions {
  /** @default 1000 */
  readonly intervalMs?: number;
  /** @default performance.now() */
  readonly now?: () => number;
}

/** Kinds that are remembered: more are not made of what clients send, so this is never reached. */
const MAX_KINDS = 1_000;

export class SparseLines {
  readonly #kinds = new Map<string, { nextAt: number; leftOut: number }>();
  readonly #intervalMs: number;
  readonly #now: () => number;

  constructor({ intervalMs = 1_000, now = () => performance.now() }: SparseLinesOptions = {}) {
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  /** @param write gets how many of this kind were left out since its last line */
  tell(kind: string, write: (leftOut: number) => void): void {
    const now = this.#now();
    const known = this.#kinds.get(kind);
    if (known && now < known.nextAt) {
      known.leftOut++;
      return;
    }
    if (!known && this.#kinds.size >= MAX_KINDS) this.#kinds.clear();
    this.#kinds.set(kind, { nextAt: now + this.#intervalMs, leftOut: 0 });
    write(known?.leftOut ?? 0);
  }
}
