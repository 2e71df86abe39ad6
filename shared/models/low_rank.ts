/**
 * A weight times its scale plus low-rank updates (LoRA, https://arxiv.org/abs/2106.09685), as nodes over initializers:
 * ONNX Runtime computes them once, when it loads the graph, and runs the graph as if the file had held the sum.
 *
 * @module
 */

import type { ExternalBytes, GraphBuilder, Value } from "../onnx/graph.ts";
import { Cast, Mul } from "../onnx/ops/elementwise.ts";
import { AddScaledMatMul } from "../onnx/ops/linalg.ts";
import { Reshape, Transpose } from "../onnx/ops/movement.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Shape } from "../tensor/tensor.ts";
import { rowsOf, weightBytes } from "./weight_rows.ts";
import type { WeightLocation } from "./weights.ts";

/** Adds `scale up down`, of M outputs and K inputs. */
export interface LowRankUpdate {
  /** `[M, r]`; convolutions `[M, r, 1, 1]` */
  readonly up: WeightLocation;
  /** `[r, K]`; convolutions `[r, C, k, k]` */
  readonly down: WeightLocation;
  readonly scale: number;
  /** Adds the transpose instead: the weight is stored so, as `[K, M]`, and wanted whole. */
  readonly isTransposed?: boolean;
}

/**
 * Rows `first..end` of `s W + sum_i scale_i up_i down_i` in f32.
 *
 * @param name of the weight, for the values of the graph
 * @param shape of the value: same elements, same order
 */
export function updatedWeight(
  g: GraphBuilder,
  name: string,
  weight: WeightLocation,
  rows: readonly [number, number],
  shape: Shape,
): Value {
  const part = `:rows ${rows.join("-")}`;
  let sum = matrix(g, `${name}${part}:matrix`, rowsOf(weight, rows));
  weight.updates?.forEach(({ up, down, scale, isTransposed = false }, i) => {
    // Embedded: the runtime reads files of the checkpoint's folder only, and LoRAs lie elsewhere.
    const left = matrix(g, `${name}${part}:up${i}`, isTransposed ? up : rowsOf(up, rows), {
      embed: true,
    });
    const right = matrix(g, `${name}:down${i}`, down, { embed: true });
    const factors = isTransposed
      ? [Transpose(g, right, [1, 0]), Transpose(g, left, [1, 0])] as const
      : [left, right] as const;
    sum = AddScaledMatMul(g, sum, ...factors, scale);
  });
  return sum.shape.join() === shape.join() ? sum : Reshape(g, sum, shape);
}

/** A weight `[M, ...]` as f32 `[M, K]`. */
function matrix(
  g: GraphBuilder,
  name: string,
  location: WeightLocation,
  options: Pick<ExternalBytes, "embed"> = {},
): Value {
  const { dtype, shape: [rows = 1, ...others], scale } = location;
  const shape = [rows, elementCount(others)];
  const value = g.weight(name, dtype, shape, { ...weightBytes(location), ...options });
  const cast = Cast(g, value, "float32", DTYPES.float32.onnx);
  return scale ? Mul(g, cast, matrix(g, `${name}:scale`, scale, options)) : cast;
}
