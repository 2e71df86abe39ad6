/**
 * Scaled dot-product attention in two lowerings: `fused` (one op of ONNX Runtime, no attention matrix
 * in memory) for running, `primitive` (matrix products and a softmax) where a graph must be differentiated or masked. A test holds
 * them equal.
 *
 * @module
 */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Add, Mul } from "../../onnx/ops/elementwise.ts";
import { MatMul, MultiHeadAttention } from "../../onnx/ops/linalg.ts";
import { Reshape, Transpose } from "../../onnx/ops/movement.ts";
import { Softmax } from "../../onnx/ops/normalization.ts";
import { f32 } from "../../tensor/tensor.ts";

export type Lowering = "fused" | "primitive";

/**
 * softmax(q k^T / sqrt(headDim) + mask) v, per head.
 *
 * @param query f32 `[B, S, heads headDim]`
 * @param key f32 `[B, L, heads headDim]`
 * @param value f32 `[B, L, heads headDim]`
 * @param mask f32 `[S, L]`, added to the scores; primitive lowering only
 * @returns f32 `[B, S, heads headDim]`
 */
export function attention(
  g: GraphBuilder,
  { query, key, value, heads, lowering, mask }: {
    readonly query: Value;
    readonly key: Value;
    readonly value: Value;
    readonly heads: number;
    readonly lowering: Lowering;
    readonly mask?: Value;
  },
): Value {
  if (lowering === "fused" && mask === undefined) {
    return MultiHeadAttention(g, query, key, value, heads);
  }
  const width = query.shape[2] as number;
  const headDim = width / heads;
  // The last permutation of keys differs: it transposes them for the product, too.
  const split = (x: Value, perm: readonly number[]) =>
    Transpose(g, Reshape(g, x, [0, 0, heads, headDim]), perm);
  const scale = g.constant(f32([], [headDim ** -0.5]), "scale");
  const scores = MatMul(g, Mul(g, split(query, [0, 2, 1, 3]), scale), split(key, [0, 2, 3, 1]));
  const weights = Softmax(g, mask ? Add(g, scores, mask) : scores, -1);
  const mixed = MatMul(g, weights, split(value, [0, 2, 1, 3]));
  return Reshape(g, Transpose(g, mixed, [0, 2, 1, 3]), [0, 0, width]);
}
