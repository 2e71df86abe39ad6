/**
 * The loss on examples that are not trained on, at draws of timestep and noise that never change: so two losses can be compared draw by draw,
 * which sees differences far below the spread between draws.
 *
 * @module
 */

import { throwIfAborted } from "../../shared/errors.ts";
import { batchLosses, type ForwardEnsemble, type PassOptions } from "./batch_pass.ts";
import type { Example } from "./dataset/examples.ts";
import type { NoisyRow, NoisyRows } from "./noisy_rows.ts";

/** Every example at `drawsPerExample` draws, with its text. */
export function heldOutRows(
  rows: NoisyRows,
  examples: readonly Example[],
  seed: bigint,
  drawsPerExample: number,
): NoisyRow[] {
  return examples.flatMap((example, i) =>
    Array.from(
      { length: drawsPerExample },
      (_, d) => ({ example, draw: rows.draw(seed, ["held out", i, d], 0) }),
    )
  );
}

/** @returns the loss of each row, in order */
export async function evaluate(
  ensemble: ForwardEnsemble,
  rows: NoisyRows,
  heldOut: readonly NoisyRow[],
  microBatch: number,
  options: PassOptions = {},
): Promise<number[]> {
  const losses: number[] = [];
  for (let start = 0; start < heldOut.length; start += microBatch) {
    throwIfAborted(options.signal);
    const batch = await rows.batch(heldOut.slice(start, start + microBatch), options.signal);
    losses.push(...await batchLosses(ensemble, batch, options));
  }
  return losses;
}

export function average(losses: readonly number[]): number {
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

export interface PairedDifference {
  /** Of `losses` minus `others`: below 0, `losses` are better. */
  readonly mean: number;
  /** The 95 % interval is `mean` +- this (normal approximation); infinite for a single pair. */
  readonly halfWidth: number;
}

export function pairedDifference(
  losses: readonly number[],
  others: readonly number[],
): PairedDifference {
  const differences = losses.map((loss, i) => loss - others[i]!);
  const count = differences.length;
  const mean = average(differences);
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const halfWidth = count < 2 ? Infinity : 1.96 * Math.sqrt(squares / (count - 1) / count);
  return { mean, halfWidth };
}
