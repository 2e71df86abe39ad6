/**
 * What a check of `tutti verify` gets and gives. A check computes tensors and compares them with expected ones; how
 * near they must be is the manifest's business.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { difference } from "../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

/** One compared tensor. */
export interface Comparison {
  /** The expected tensor's name. */
  readonly tensor: string;
  readonly relativeL2: number;
  readonly maxAbs: number;
}

export interface CheckResult {
  /** `sd15/unet` */
  readonly name: string;
  readonly verdict: "ok" | "failed" | "skipped";
  /** Why it was skipped, or failed without a comparison. */
  readonly reason?: string;
  readonly tolerance?: number;
  readonly comparisons: readonly Comparison[];
}

/** Why a check cannot be run here. */
export interface Skipped {
  readonly skipped: string;
}

/**
 * Compares one tensor; another shape is an infinite difference.
 *
 * @throws {FormatError} without `actual`: the manifest expects what the check does not compute
 */
export function compare(
  tensor: string,
  actual: F32Tensor | undefined,
  expected: F32Tensor,
): Comparison {
  if (actual === undefined) throw new FormatError(`This check computes no tensor "${tensor}"`);
  if (actual.shape.join() !== expected.shape.join()) {
    return { tensor, relativeL2: Infinity, maxAbs: Infinity };
  }
  return compareNumbers(tensor, actual.data, expected.data);
}

/** Compares numbers that have no shape; another length is an infinite difference. */
export function compareNumbers(
  tensor: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): Comparison {
  const { relativeL2, maxAbs } = difference(actual, expected);
  return { tensor, relativeL2, maxAbs };
}

/** The verdict on all comparisons of a check: the worst one decides. No comparison at all is a failure. */
export function judge(
  name: string,
  comparisons: readonly Comparison[],
  tolerance: number,
): CheckResult {
  const verdict = comparisons.length > 0 && comparisons.every((c) => c.relativeL2 <= tolerance)
    ? "ok"
    : "failed";
  const reason = comparisons.length === 0 ? { reason: "nothing was compared" } : {};
  return { name, verdict, tolerance, comparisons, ...reason };
}

/** The comparison that is furthest off. */
export function worst(comparisons: readonly Comparison[]): Comparison | undefined {
  return comparisons.reduce<Comparison | undefined>(
    (most, next) => most === undefined || next.relativeL2 > most.relativeL2 ? next : most,
    undefined,
  );
}

export function skipped(name: string, reason: string): CheckResult {
  return { name, verdict: "skipped", reason, comparisons: [] };
}
