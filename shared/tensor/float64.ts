/**
 * Between the float types that files store and f64, in which weights are computed with: widening is exact, and the way
 * back rounds once.
 *
 * @module
 */

import type { DataOf, DType } from "./dtype.ts";
import { bfloat16ToFloat32, float64ToBfloat16 } from "./half.ts";

export const FLOAT_DTYPES = ["float16", "bfloat16", "float32", "float64"] as const;

export type FloatDType = typeof FLOAT_DTYPES[number];

export function isFloat(dtype: DType): dtype is FloatDType {
  return (FLOAT_DTYPES as readonly DType[]).includes(dtype);
}

/** The narrowest type that holds every value of both: f32 for the two 16-bit types together. */
export function widerFloat(a: FloatDType, b: FloatDType): FloatDType {
  if (a === b) return a;
  return a === "float64" || b === "float64" ? "float64" : "float32";
}

/** Writes elements of a float type to the beginning of `target`. */
export function widen<D extends FloatDType>(
  dtype: D,
  data: DataOf<D>,
  target: Float64Array,
): void {
  if (dtype === "float16") {
    const halves = new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
    // Three times as fast as `set()`, which converts half precision element by element.
    for (let i = 0; i < halves.length; i++) target[i] = halves[i]!;
  } else {
    target.set(dtype === "bfloat16" ? bfloat16ToFloat32(data as Uint16Array) : data);
  }
}

/** Rounds to nearest, ties to even, in one step: by way of f32 some values would end one place off. */
export function roundTo<D extends FloatDType>(dtype: D, values: Float64Array): DataOf<D> {
  const rounded: Record<FloatDType, () => DataOf<FloatDType>> = {
    float16: () => new Uint16Array(new Float16Array(values).buffer),
    bfloat16: () => float64ToBfloat16(values),
    float32: () => new Float32Array(values),
    float64: () => values.slice(),
  };
  return rounded[dtype]() as DataOf<D>;
}
