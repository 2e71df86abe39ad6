/** Derivatives of matrix products. The transpositions cost nothing: the runtime's product kernels take either order. @module */

import type { GraphBuilder, Value } from "../graph.ts";
import { Mul } from "../ops/elementwise.ts";
import { MatMul } from "../ops/linalg.ts";
import { Transpose } from "../ops/movement.ts";
import { ReduceSum } from "../ops/reduction.ts";
import {
  floatAttribute,
  intAttribute,
  scalar,
  unbroadcast,
  unsupported,
  type VjpRule,
} from "./rule.ts";

/** Swaps the last two axes. */
export function transposed(g: GraphBuilder, x: Value): Value {
  const axes = [...x.shape.keys()];
  return Transpose(g, x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/**
 * Y = A B: dA = dY B^T, dB = A^T dY, summed over batches that were broadcast.
 *
 * A row of A times the same of dA is a row of Y times that of dY. The softmax of attention asks for these sums, and A is
 * then as wide as there are keys, Y only as wide as a head.
 */
export const matMul: VjpRule = (g, { inputs: [a, b], outputs: [y] }, [dy]) => {
  const gradA = () => unbroadcast(g, MatMul(g, dy, transposed(g, b!)), a!);
  const gradB = () => unbroadcast(g, MatMul(g, transposed(g, a!), dy), b!);
  const isBroadcast = a!.shape.slice(0, -2).join() !== y!.shape.slice(0, -2).join();
  if (isBroadcast) return [gradA, gradB];
  const rowProducts = () => ReduceSum(g, Mul(g, y!, dy), [y!.shape.length - 1]);
  return [Object.assign(gradA, { rowProducts }), gradB];
};

/** Y = alpha A B + C, B transposed if `transB` says so. */
export const gemm: VjpRule = (g, node, [dy]) => {
  const [a, b, c] = node.inputs;
  if (intAttribute(node, "transA", 0) !== 0) throw unsupported("Gemm", "a transposed A");
  if (floatAttribute(node, "beta", 1) !== 1) throw unsupported("Gemm", "beta");
  const alpha = floatAttribute(node, "alpha", 1);
  const scaled = (x: Value) => alpha === 1 ? x : Mul(g, x, scalar(g, alpha, x));
  const isTransposed = intAttribute(node, "transB", 0) === 1;
  return [
    () => scaled(MatMul(g, dy, isTransposed ? b! : transposed(g, b!))),
    () =>
      scaled(
        isTransposed ? MatMul(g, transposed(g, dy), a!) : MatMul(g, transposed(g, a!), dy),
      ),
    () => unbroadcast(g, dy, c!),
  ];
};
