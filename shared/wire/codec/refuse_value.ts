/** The errors for values that a wire dtype cannot carry. @module */

import { TuttiError } from "../../errors.ts";
import type { WireDtype } from "./wire_dtype.ts";

/**
 * Names the value that made the conversion fail. The kernels find out by the way that there is one, and only then is
 * it looked for.
 *
 * @param limit the largest magnitude that the dtype has
 * @param overflow the smallest that rounds beyond it
 * @throws {TuttiError} DATA_LOSS for NaN or infinity, OUT_OF_RANGE for a finite value
 */
export function refuseValue(
  dtype: WireDtype,
  source: Float32Array,
  { limit, overflow }: { readonly limit: number; readonly overflow: number },
): never {
  const value = source.find((value) => !(Math.abs(value) < overflow)) ?? NaN;
  const details = { wireDtype: dtype, value: String(value) };
  if (!Number.isFinite(value)) {
    throw new TuttiError(
      "DATA_LOSS",
      `A value that travels as ${dtype} must be finite: current value is ${value}`,
      { details },
    );
  }
  throw new TuttiError(
    "OUT_OF_RANGE",
    `A value that travels as ${dtype} must be at most ${limit} in magnitude: current value is ${value}`,
    { details },
  );
}
