/**
 * Methods that add to one model what another has learnt: its difference from the model that it was trained from.
 * Formulas and the order of their operations are supermerger's.
 *
 * @module
 */

import { combine, type Values } from "../values.ts";

/** `A + alpha (B - C)` */
export function addDifference(
  [a, b, c]: readonly Values[],
  { alpha }: { readonly alpha: number },
): Values {
  if (alpha === 0) return a!;
  return combine([a!, b!, c!], (out, [a, b, c]) => {
    for (let i = 0; i < out.length; i++) out[i] = a![i]! + alpha * (b![i]! - c![i]!);
  });
}

/** Chosen in supermerger so that `alpha` 1 has the strength of a difference added once. */
const TRAINING_GAIN = 1.8;

/**
 * `A + 1.8 alpha sign(B - C) |B - C| |B - A| / (|B - C| + |B - A|)`: the difference counts as much as A is away from B
 * already, as if A had been trained like C was.
 */
export function trainDifference(
  [a, b, c]: readonly Values[],
  { alpha }: { readonly alpha: number },
): Values {
  if (alpha === 0) return a!;
  return combine([a!, b!, c!], (out, [a, b, c]) => {
    for (let i = 0; i < out.length; i++) {
      const difference = b![i]! - c![i]!;
      const [learnt, distance] = [Math.abs(difference), Math.abs(b![i]! - a![i]!)];
      const share = learnt + distance === 0 ? 0 : distance / (learnt + distance);
      out[i] = a![i]! + difference * share * (alpha * TRAINING_GAIN);
    }
  });
}
