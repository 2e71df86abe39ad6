/**
 * A weight times its scale plus low-rank updates (LoRA, https://arxiv.org/abs/2106.09685), as nodes over initializers:
 * ONNX Runtime computes them once, when it loads the graph, and runs the graph as if the file had held the sum.
 *
 * @module
 */

import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { AddScaledMatMul } from "../onnx/ops/linalg.ts";
import { Reshape, Slice, Transpose } from "../onnx/ops/movement.ts";
import type { Shape } from "../tensor/tensor.ts";
import { type ComposedUpdate, composedUpdate } from "./composed_update.ts";
import { weightMatrix } from "./weight_matrix.ts";
import { rowsOf } from "./weight_rows.ts";
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

export type WeightUpdate = LowRankUpdate | ComposedUpdate;

/**
 * Rows `first..end` of `s W + sum_i scale_i up_i down_i`, or whatever else updates make of it, in f32.
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
  const { shape: [allRows = 1, channels = 1], updates = [] } = weight;
  // Other updates than low-rank ones need all rows, if only for the lengths of columns.
  const isWhole = updates.some((update) => "change" in update);
  const span = isWhole ? [0, allRows] as const : rows;
  const part = `:rows ${rows.join("-")}`;
  let sum = weightMatrix(g, `${name}${part}:matrix`, rowsOf(weight, span));
  updates.forEach((update, i) => {
    sum = "change" in update
      ? composedUpdate(g, `${name}:update${i}`, sum, update, channels)
      : lowRankSum(g, { name, part, i }, sum, update, span);
  });
  if (isWhole && rows[1] - rows[0] < allRows) sum = Slice(g, sum, 0, ...rows);
  return sum.shape.join() === shape.join() ? sum : Reshape(g, sum, shape);
}

function lowRankSum(
  g: GraphBuilder,
  { name, part, i }: { readonly name: string; readonly part: string; readonly i: number },
  sum: Value,
  { up, down, scale, isTransposed = false }: LowRankUpdate,
  rows: readonly [number, number],
): Value {
  // Embedded: the runtime reads files of the checkpoint's folder only, and LoRAs lie elsewhere.
  const left = weightMatrix(g, `${name}${part}:up${i}`, isTransposed ? up : rowsOf(up, rows), {
    embed: true,
  });
  const right = weightMatrix(g, `${name}:down${i}`, down, { embed: true });
  const factors = isTransposed
    ? [Transpose(g, right, [1, 0]), Transpose(g, left, [1, 0])] as const
    : [left, right] as const;
  return AddScaledMatMul(g, sum, ...factors, scale);
}
