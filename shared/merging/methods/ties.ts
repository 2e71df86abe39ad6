/**
 * TIES (Yadav et al. 2023, arXiv 2306.01708, algorithm 1): trim, elect a sign, merge what agrees. The first model is the
 * one that the others were trained from; a tensor is trimmed by itself, as in mergekit.
 *
 * @module
 */

import { elementCount } from "../../tensor/tensor.ts";
import { combine, inStep, PIECE_ELEMENTS, type Values } from "../values.ts";

export interface TiesOptions {
  /** Share of each difference's values that is kept: the largest. */
  readonly density: number;
  /** Factor on what is added to the first model. */
  readonly lambda: number;
}

/** `base + lambda mean of the trimmed differences that have the elected sign` */
export function ties(
  [base, ...tuned]: readonly Values[],
  { density, lambda }: TiesOptions,
): Values {
  if (lambda === 0) return base!;
  const thresholds = tuned.map((model) => trimmedBelow([model, base!], density));
  const size = Math.min(PIECE_ELEMENTS, elementCount(base!.shape));
  const elected = new Float64Array(size);
  const sums = new Float64Array(size);
  const counts = new Float64Array(size);
  return combine([base!, ...tuned], (out, [base, ...tuned]) => {
    for (const scratch of [elected, sums, counts]) scratch.fill(0);
    tuned.forEach((model, m) => {
      for (let i = 0; i < out.length; i++) {
        const difference = model[i]! - base![i]!;
        if (magnitude(difference) >= thresholds[m]!) elected[i]! += difference;
      }
    });
    tuned.forEach((model, m) => {
      for (let i = 0; i < out.length; i++) {
        const difference = model[i]! - base![i]!;
        // A sum of exactly 0 elects the positive sign, as in mergekit.
        const agrees = elected[i]! >= 0 ? difference > 0 : difference < 0;
        if (!agrees || magnitude(difference) < thresholds[m]!) continue;
        sums[i]! += difference;
        counts[i]!++;
      }
    });
    for (let i = 0; i < out.length; i++) {
      out[i] = counts[i] === 0 ? base![i]! : base![i]! + lambda * (sums[i]! / counts[i]!);
    }
  });
}

/** What is trimmed by: in f32, whose bits are few enough to count. */
function magnitude(difference: number): number {
  return Math.fround(Math.abs(difference));
}

/** The smallest magnitude that stays when a share of `model - base` stays; equal ones stay together. */
function trimmedBelow(operands: readonly [Values, Values], density: number): number {
  const kept = Math.max(1, Math.floor(density * elementCount(operands[0].shape)));
  return largestMagnitude(operands, kept);
}

const DIGIT_BITS = 16;

/**
 * The `rank`-th largest magnitude of `model - base`, without holding or sorting the values. Bits of positive floats sort
 * as the floats do: it counts the values by their upper 16 bits, which tells those of the value that it looks for, and
 * then counts the values with these upper bits by their lower ones.
 */
function largestMagnitude(operands: readonly [Values, Values], rank: number): number {
  const uppers = countDigits(operands, (word) => word >>> DIGIT_BITS);
  const [upper, left] = digitOfRank(uppers, rank);
  const lowers = countDigits(
    operands,
    (word) => word >>> DIGIT_BITS === upper ? word & 0xffff : undefined,
  );
  const [lower] = digitOfRank(lowers, left);
  return new Float32Array(Uint32Array.of((upper << DIGIT_BITS) | lower).buffer)[0]!;
}

/** How often each digit comes among the magnitudes' bits; `undefined` does not count. */
function countDigits(
  operands: readonly [Values, Values],
  digitOf: (word: number) => number | undefined,
): Uint32Array {
  const counts = new Uint32Array(2 ** DIGIT_BITS);
  const magnitudes = new Float32Array(PIECE_ELEMENTS);
  const words = new Uint32Array(magnitudes.buffer);
  for (const [a, b] of inStep(operands)) {
    for (let i = 0; i < a!.length; i++) magnitudes[i] = Math.abs(a![i]! - b![i]!);
    for (let i = 0; i < a!.length; i++) {
      const digit = digitOf(words[i]!);
      if (digit !== undefined) counts[digit]!++;
    }
  }
  return counts;
}

/** @returns the digit of the `rank`-th largest value, and its rank among those with the same digit */
function digitOfRank(counts: Uint32Array, rank: number): readonly [digit: number, rank: number] {
  let [digit, left] = [counts.length - 1, rank];
  while (counts[digit]! < left) left -= counts[digit--]!;
  return [digit, left];
}
