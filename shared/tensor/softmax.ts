/** Softmax outside graphs. @module */

import { f32, type F32Tensor } from "./tensor.ts";

/** Along the last axis, in f64 and rounded once; the largest value of a row is subtracted first. */
export function softmax(x: F32Tensor): F32Tensor {
  const width = x.shape.at(-1) ?? 1;
  const result = f32(x.shape);
  for (let start = 0; start < x.data.length; start += width) {
    const row = x.data.subarray(start, start + width);
    const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const exponentials = Float64Array.from(row, (value) => Math.exp(value - largest));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    result.data.set(exponentials.map((value) => value / sum), start);
  }
  return result;
}
