/** Whether the sides of a comparison did the same work: a time without that means nothing. @module */

import { TuttiError } from "../../shared/errors.ts";
import { difference } from "../../shared/tensor/compare.ts";
import type { EnsembleSide } from "./ensemble_side.ts";

/** Other numbers of threads add in another order; the goal for whole models, as `tutti verify` has it. */
const MAX_RELATIVE_L2 = 1e-4;

/** @throws {TuttiError} DATA_LOSS if two sides predicted different noise */
export function checkSameResult(a: EnsembleSide, b: EnsembleSide): void {
  const [ofA, ofB] = [a.noisePred, b.noisePred];
  const { relativeL2 } = difference(ofA?.data ?? [], ofB?.data ?? [NaN]);
  if (relativeL2 <= MAX_RELATIVE_L2) return;
  throw new TuttiError(
    "DATA_LOSS",
    `The noise of ${a.name} and ${b.name} must agree within ${MAX_RELATIVE_L2}: ` +
      `their relative distance is ${relativeL2}`,
  );
}
