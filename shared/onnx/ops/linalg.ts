/** Matrix products and the fused attention of ONNX Runtime. @module */

import { ShapeError } from "../../errors.ts";
import { broadcastShapes } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { checkOneDtype } from "./one_dtype.ts";

/**
 * Batched matrix product over the last two axes; leading axes broadcast.
 *
 * @throws {ShapeError} if the inner sizes or the dtypes differ
 */
export function MatMul(g: GraphBuilder, a: Value, b: Value): Value {
  checkOneDtype("MatMul", a, b);
  const inner = [a.shape.at(-1), b.shape.at(-2)];
  if (a.shape.length < 2 || b.shape.length < 2 || inner[0] !== inner[1]) {
    throw new ShapeError(`MatMul needs equal inner sizes: [${a.shape}] times [${b.shape}]`);
  }
  const batch = broadcastShapes("MatMul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, a.shape.at(-2)!, b.shape.at(-1)!];
  return g.node("MatMul", [a, b], [{ dtype: a.dtype, shape }])[0]!;
}

/**
 * `x W^T + bias` for two-dimensional x.
 *
 * @param x f32 `[M, K]`
 * @param weight f32 `[N, K]`, torch's order
 * @param bias f32 `[N]`
 * @throws {ShapeError} if the inner sizes or the dtypes differ, or the bias is not one per output
 */
export function Gemm(g: GraphBuilder, x: Value, weight: Value, bias?: Value): Value {
  checkOneDtype("Gemm", x, weight, bias);
  if (x.shape.length !== 2 || weight.shape.length !== 2 || x.shape[1] !== weight.shape[1]) {
    throw new ShapeError(`Gemm needs equal inner sizes: [${x.shape}] times [${weight.shape}]^T`);
  }
  if (bias && bias.shape.join() !== String(weight.shape[0])) {
    throw new ShapeError(`Gemm of ${weight.shape[0]} outputs has a bias of [${bias.shape}]`);
  }
  const shape = [x.shape[0]!, weight.shape[0]!];
  return g.node("Gemm", [x, weight, ...(bias ? [bias] : [])], [{ dtype: x.dtype, shape }], {
    attributes: { transB: { int: 1 } },
  })[0]!;
}

/**
 * `sum + scale a b`, in one pass over the sum.
 *
 * @param sum f32 `[M, N]`
 * @param a f32 `[M, K]`
 * @param b f32 `[K, N]`
 * @throws {ShapeError} if sizes or dtypes differ
 */
export function AddScaledMatMul(
  g: GraphBuilder,
  sum: Value,
  a: Value,
  b: Value,
  scale: number,
): Value {
  checkOneDtype("Gemm", sum, a, b);
  const product = [a.shape[0], b.shape[1]];
  if (
    a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] !== b.shape[0] ||
    sum.shape.join() !== product.join()
  ) {
    throw new ShapeError(`Cannot add [${a.shape}] times [${b.shape}] to [${sum.shape}]`);
  }
  return g.node("Gemm", [a, b, sum], [{ dtype: sum.dtype, shape: sum.shape }], {
    attributes: { alpha: { float: scale } },
  })[0]!;
}

/**
 * Scaled dot-product attention, all heads at once, without materialising the attention matrix
 * (`com.microsoft`). Scale is headDim^-0.5.
 *
 * @param query f32 `[B, S, D]`
 * @param key f32 `[B, L, D]`
 * @param value f32 `[B, L, D]`
 * @returns f32 `[B, S, D]`
 * @throws {ShapeError} if the shapes or dtypes do not fit, or the heads do not divide the width
 */
export function MultiHeadAttention(
  g: GraphBuilder,
  query: Value,
  key: Value,
  value: Value,
  numHeads: number,
): Value {
  checkOneDtype("MultiHeadAttention", query, key, value);
  const [batch, , width] = query.shape;
  if (typeof width !== "number" || width % numHeads !== 0) {
    throw new ShapeError(`${numHeads} heads must divide the width of queries [${query.shape}]`);
  }
  if (key.shape.join() !== value.shape.join() || key.shape[0] !== batch || key.shape[2] !== width) {
    throw new ShapeError(
      `Attention of queries [${query.shape}] needs keys and values of their batch and width: ` +
        `[${key.shape}] and [${value.shape}]`,
    );
  }
  const output = [{ dtype: query.dtype, shape: query.shape }];
  return g.node("MultiHeadAttention", [query, key, value], output, {
    domain: "com.microsoft",
    attributes: { num_heads: { int: numHeads } },
  })[0]!;
}
