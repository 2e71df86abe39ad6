/** Whether one method is better than another on the same prompts and seeds. @module */

import { ShapeError } from "../../../shared/errors.ts";
import { NumpyRandom } from "../numpy_random.ts";

export interface PairedDifference {
  /** Of b - a. */
  readonly mean: number;
  readonly standardError: number;
  /** Percentiles of the mean over resamples with repetition. */
  readonly low: number;
  readonly high: number;
  readonly winsOfB: number;
  readonly ties: number;
  readonly lossesOfB: number;
  /** Chance of so uneven a count of wins or a more uneven one if both were as good; ties are left out. */
  readonly signTestP: number;
}

export interface PairedOptions {
  /** Share of resamples between `low` and `high`. @default 0.95 */
  readonly level?: number;
  /** Indices of the pairs of each resample. @default 2,000, drawn from seed 0 */
  readonly resamples?: readonly (readonly number[])[];
}

const RESAMPLES = 2000, SEED = 0;

/** @throws {ShapeError} unless there are as many scores of a as of b, two or more */
export function pairedDifference(
  a: readonly number[],
  b: readonly number[],
  { level = 0.95, resamples = drawResamples(a.length) }: PairedOptions = {},
): PairedDifference {
  const n = a.length;
  if (n !== b.length || n < 2) {
    throw new ShapeError(
      `Pairs need two scores or more of each: there are ${n} and ${b.length}`,
    );
  }
  const differences = a.map((value, i) => b[i]! - value);
  const mean = meanOf(differences);
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const means = resamples
    .map((picked) => meanOf(picked.map((i) => differences[i]!)))
    .sort((x, y) => x - y);
  const winsOfB = differences.filter((value) => value > 0).length;
  const ties = differences.filter((value) => value === 0).length;
  return {
    mean,
    standardError: Math.sqrt(variance / n),
    low: quantile(means, (1 - level) / 2),
    high: quantile(means, (1 + level) / 2),
    winsOfB,
    ties,
    lossesOfB: n - ties - winsOfB,
    signTestP: signTest(winsOfB, n - ties),
  };
}

function drawResamples(n: number): number[][] {
  const random = new NumpyRandom(SEED);
  return Array.from(
    { length: RESAMPLES },
    () => Array.from({ length: n }, () => random.upTo(n - 1)),
  );
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** By linear interpolation, as numpy does it (type 7). */
function quantile(sorted: readonly number[], share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!);
}

/** Two-sided and exact: of n tosses of a coin, so many or so few as `wins`, or fewer. */
function signTest(wins: number, n: number): number {
  const few = Math.min(wins, n - wins);
  // In logarithms: the chance of no win at all is too small for a number where n is a thousand.
  let tail = 0, logChance = -n * Math.LN2;
  for (let k = 0; k <= few; k++) {
    tail += Math.exp(logChance);
    logChance += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}
