/** Linear layers and activations. @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Add, Mul, Sigmoid } from "../../onnx/ops/elementwise.ts";
import { MatMul } from "../../onnx/ops/linalg.ts";
import { Transpose } from "../../onnx/ops/movement.ts";
import { f32 } from "../../tensor/tensor.ts";
import type { Weights } from "../weights.ts";

/**
 * `x W^T + b` over the last axis (torch.nn.Linear).
 *
 * @param x f32 `[..., inFeatures]`
 * @returns f32 `[..., outFeatures]`
 */
export function linear(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  outFeatures: number,
  options: { readonly bias?: boolean } = {},
): Value {
  const inFeatures = x.shape.at(-1) as number;
  const weight = weights.tensor(g, "weight", [outFeatures, inFeatures]);
  const product = MatMul(g, x, Transpose(g, weight, [1, 0]));
  if (options.bias === false) return product;
  return Add(g, product, weights.tensor(g, "bias", [outFeatures]));
}

/** `x sigmoid(x)` */
export function silu(g: GraphBuilder, x: Value): Value {
  return Mul(g, x, Sigmoid(g, x));
}

/** `x sigmoid(1.702 x)`, CLIP's approximation of GELU */
export function quickGelu(g: GraphBuilder, x: Value): Value {
  return Mul(g, x, Sigmoid(g, Mul(g, x, g.constant(f32([], [1.702]), "quick_gelu"))));
}
