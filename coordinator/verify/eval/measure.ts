/** How far a result is from an expectation, in the measure that a check's tolerance names. @module */

import { difference } from "../../../shared/tensor/compare.ts";
import { type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import type { Comparison } from "../check.ts";
import type { EvalCheck } from "./eval_folder.ts";

/** As the folder's README names them: the first that a check has decides. */
const MEASURES = ["relative_l2", "relative_each", "relative", "absolute", "exact"] as const;
type Measure = typeof MEASURES[number];

/** The tolerance of a whole check. Outputs with one of their own (`"mask": "exact"`) must be equal. */
export function toleranceOf({ tolerance }: EvalCheck): number {
  const value = tolerance[measureOf(tolerance)];
  return typeof value === "number" ? value : 0;
}

/** Of one output; a trajectory is measured step by step by its caller. */
export function measure(
  { tolerance }: EvalCheck,
  name: string,
  actual: F32Tensor,
  expected: F32Tensor,
): Comparison {
  const kind = tolerance[name] === "exact" ? "exact" : measureOf(tolerance);
  if (actual.data.length !== expected.data.length) {
    return { tensor: name, relativeL2: Infinity, maxAbs: Infinity };
  }
  const { relativeL2, maxAbs } = difference(actual.data, expected.data);
  const distance: Readonly<Record<Measure, () => number>> = {
    relative_l2: () => relativeL2,
    relative_each: () => largestRelative(actual, expected),
    relative: () => largestRelative(actual, expected),
    absolute: () => maxAbs,
    exact: () => maxAbs === 0 ? 0 : Infinity,
  };
  return { tensor: name, relativeL2: distance[kind](), maxAbs };
}

/** Row by row. */
export function measureRows(
  check: EvalCheck,
  name: string,
  actual: readonly F32Tensor[],
  expected: F32Tensor,
): Comparison[] {
  const rows = expected.shape[0]!;
  if (actual.length !== rows) return [{ tensor: name, relativeL2: Infinity, maxAbs: Infinity }];
  return actual.map((row, i) => ({
    ...measure(check, name, row, sliceRows(expected, i, i + 1)),
    tensor: `${name}[${i}]`,
  }));
}

function measureOf(tolerance: EvalCheck["tolerance"]): Measure {
  return MEASURES.find((measure) => tolerance[measure] !== undefined) ?? "exact";
}

/** An expected 0 must be 0. */
function largestRelative(actual: F32Tensor, expected: F32Tensor): number {
  return actual.data.reduce((most, value, i) => {
    const difference = Math.abs(value - expected.data[i]!);
    return Math.max(most, difference === 0 ? 0 : difference / Math.abs(expected.data[i]!));
  }, 0);
}
