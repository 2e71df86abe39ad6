/** Losses of single rows. @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Mul, Sub } from "../../onnx/ops/elementwise.ts";
import { ReduceMean } from "../../onnx/ops/reduction.ts";

/** `[B, C, H, W]` twice -> the mean square of each row's differences, `[B, 1, 1, 1]`. */
export function meanSquares(g: GraphBuilder, a: Value, b: Value): Value {
  const difference = Sub(g, a, b);
  return rowMeans(g, Mul(g, difference, difference));
}

/** `[B, C, H, W]` -> `[B, 1, 1, 1]` */
export function rowMeans(g: GraphBuilder, x: Value): Value {
  return ReduceMean(g, x, [1, 2, 3]);
}
