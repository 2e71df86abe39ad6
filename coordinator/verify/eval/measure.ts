/** How far a result is from an expectation, in the measure that a check's tolerance names. @module */

import { difference } from "../../../shared/tensor/compare.ts";
import { type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import type { Comparison } from "../check.ts";
import type { EvalCheck } from "./eval_folder.ts";

/** As the folder's README names them: the first that a check has decides. */
const MEASURES = [
  "relative_l2",
  "relative_each",
  "relative",
  "absolute",
  "exact",
  "max_levels",
] as const;
type Measure = typeof MEASURES[number];

/** The tolerance of a whole check. Outputs with one of their own (`"mask": "exact"`) must be equal. */
export function toleranceOf({ tolerance }: Pick<EvalCheck, "tolerance">): number {
  const value = tolerance[measureOf(tolerance)];
  return typeof value === "number" ? value : 0;
}

/** Of one output; a trajectory is measured step by step by its caller. */
export function measure(
  check: EvalCheck,
  name: string,
  actual: F32Tensor,
  expected: F32Tensor,
): Comparison {
  return measureNumbers(check, name, actual.data, expected.data);
}

/** The same of one number or many; `undefined` is what is not computed. */
export function measureNumbers(
  check: Pick<EvalCheck, "tolerance">,
  name: string,
  computed: number | ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
): Comparison {
  const actual = typeof computed === "number" ? [computed] : computed ?? [];
  const { tolerance } = check;
  if (actual.length !== expected.length) {
    return { tensor: name, relativeL2: Infinity, maxAbs: Infinity };
  }
  const { relativeL2, maxAbs } = difference(actual, expected);
  const distance: Readonly<Record<Measure, () => number>> = {
    relative_l2: () => relativeL2,
    relative_each: () => largestRelative(actual, expected),
    relative: () => largestRelative(actual, expected),
    absolute: () => maxAbs,
    exact: () => maxAbs === 0 ? 0 : Infinity,
    max_levels: () =>
      Math.max(maxAbs, inUnitsOf(check, "differing", shareThatDiffers(actual, expected))),
  };
  // An output may be measured in a way of its own: "absolute_std", "sample_absolute".
  const own = [`absolute_${name}`, `${name}_absolute`].find((key) => key in tolerance);
  const kind = tolerance[name] === "exact" ? "exact" : measureOf(tolerance);
  const value = own === undefined ? distance[kind]() : inUnitsOf(check, own, maxAbs);
  return { tensor: name, relativeL2: value, maxAbs };
}

/** A distance that has a tolerance of its own, so that it can be held against the whole check's. */
function inUnitsOf(check: Pick<EvalCheck, "tolerance">, own: string, value: number): number {
  return value === 0 ? 0 : value / Number(check.tolerance[own]) * toleranceOf(check);
}

function shareThatDiffers(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const differing = Array.from(actual).filter((value, i) => value !== expected[i]).length;
  return differing / actual.length;
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
function largestRelative(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Array.from(actual).reduce((most, value, i) => {
    const difference = Math.abs(value - expected[i]!);
    return Math.max(most, difference === 0 ? 0 : difference / Math.abs(expected[i]!));
  }, 0);
}
