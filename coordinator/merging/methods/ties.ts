/**
 * TIES (Yadav et al. 2023, arXiv 2306.01708, algorithm 1): trim, elect a sign, merge what agrees. The first model is the one that
 * the others were trained from; a tensor is trimmed by itself, as in mergekit.
 *
 * @module
 */

import { elementCount } from "../../../shared/tensor/tensor.ts";
import { combine, inStep, type Values } from "../values.ts";

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
  const thresholds = tuned.map((model) => trimmedAbove([model, base!], density));
  return combine([base!, ...tuned], (out, [base, ...tuned]) => {
    for (let i = 0; i < out.length; i++) {
      let elected = 0;
      for (let m = 0; m < tuned.length; m++) {
        const difference = tuned[m]![i]! - base![i]!;
        if (Math.abs(difference) >= thresholds[m]!) elected += difference;
      }
      let [sum, count] = [0, 0];
      for (let m = 0; m < tuned.length; m++) {
        const difference = tuned[m]![i]! - base![i]!;
        // A sum of exactly 0 elects the positive sign, as in mergekit.
        const agrees = elected >= 0 ? difference > 0 : difference < 0;
        if (Math.abs(difference) < thresholds[m]! || !agrees) continue;
        sum += difference;
        count++;
      }
      out[i] = count === 0 ? base![i]! : base![i]! + lambda * (sum / count);
    }
  });
}

/** Bits of a magnitude that one pass decides. */
const DIGIT_BITS = 16;
const DIGITS = 4;

/** The smallest magnitude that stays when `density` of the values of `model - base` stay; equal ones stay together. */
function trimmedAbove([model, base]: readonly [Values, Values], density: number): number {
  const kept = Math.max(1, Math.floor(density * elementCount(model.shape)));
  return largestMagnitude([model, base], kept);
}

/**
 * The `rank`-th largest `|model - base|`, exactly, without holding or sorting the values. Bits of positive doubles sort
 * as the doubles do: each pass counts the values by the next 16 bits, from the top, among those that begin with the bits
 * found so far.
 */
function largestMagnitude(operands: readonly [Values, Values], rank: number): number {
  // Little-endian: the top digit is the last one.
  const digits = new Uint16Array(DIGITS);
  const magnitude = new Float64Array(digits.buffer);
  const found = new Uint16Array(DIGITS);
  let left = rank;
  for (let place = DIGITS - 1; place >= 0; place--) {
    const counts = new Uint32Array(2 ** DIGIT_BITS);
    for (const [a, b] of inStep(operands)) {
      for (let i = 0; i < a!.length; i++) {
        magnitude[0] = Math.abs(a![i]! - b![i]!);
        if (agreeAbove(digits, found, place)) counts[digits[place]!]!++;
      }
    }
    let digit = counts.length - 1;
    while (counts[digit]! < left) left -= counts[digit--]!;
    found[place] = digit;
  }
  return new Float64Array(found.buffer)[0]!;
}

function agreeAbove(a: Uint16Array, b: Uint16Array, place: number): boolean {
  for (let i = DIGITS - 1; i > place; i--) if (a[i] !== b[i]) return false;
  return true;
}
