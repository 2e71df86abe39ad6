/**
 * The randomness of training: every draw follows from the run's seed and what it is for. So the state of the generator is the seed
 * and the position, nothing that a checkpoint could lose; how a batch is split into micro-batches changes no draw, and neither does
 * an evaluation in between.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { Mt19937 } from "../../shared/tensor/mt19937.ts";
import type { F32Tensor, Shape } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";

/** What a draw is for, outermost first: `["noise", 12, 3]`. */
export type Purpose = readonly (string | number)[];

/** 32 bits, as many as the generators take. */
function seedOf(seed: bigint, purpose: Purpose): number {
  return createHash("sha256").update(`${seed} ${JSON.stringify(purpose)}`).digest().readUInt32LE(0);
}

/** Uniform draws. */
export class SeededDraws {
  readonly #engine: Mt19937;

  constructor(seed: bigint, purpose: Purpose) {
    this.#engine = new Mt19937(seedOf(seed, purpose));
  }

  /** In [0, 1), of 32 bits. */
  uniform(): number {
    return this.#engine.random32() / 2 ** 32;
  }

  /** A whole number from 0 to `count - 1`; even up to 2^-32. */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }
}

/** Standard normal noise. */
export function seededNoise(seed: bigint, purpose: Purpose, shape: Shape): F32Tensor {
  return new TorchCpuGenerator(seedOf(seed, purpose)).randn(shape);
}

/** The whole numbers 0 to `count - 1` in random order (Fisher and Yates). */
export function seededOrder(seed: bigint, purpose: Purpose, count: number): number[] {
  const draws = new SeededDraws(seed, purpose);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
