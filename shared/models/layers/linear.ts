/** Linear layers and activations. @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Mul, Sigmoid } from "../../onnx/ops/elementwise.ts";
import { Gemm } from "../../onnx/ops/linalg.ts";
import { FlattenRows, UnflattenRows } from "../../onnx/ops/movement.ts";
import { f32 } from "../../tensor/tensor.ts";
import type { Weights } from "../weights.ts";

export interface LinearOptions {
  /** @default true */
  readonly bias?: boolean;
  /** The layer is a run of rows of a taller one, which has `of` rows and of which it begins at `first`. */
  readonly rows?: { readonly first: number; readonly of: number };
}

/**
 * `x W^T + b` over the last axis (torch.nn.Linear). One matrix product over all rows: it takes the weight as torch
 * stores it and adds the bias on the way.
 *
 * @param x f32 `[..., inFeatures]`
 * @returns f32 `[..., outFeatures]`
 */
export function linear(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  outFeatures: number,
  { bias = true, rows }: LinearOptions = {},
): Value {
  const inFeatures = x.shape.at(-1) as number;
  const of = rows?.of ?? outFeatures;
  const view = rows ? { rows: [rows.first, rows.first + outFeatures] as const } : {};
  const weight = weights.tensor(g, "weight", [of, inFeatures], view);
  const shift = bias ? weights.tensor(g, "bias", [of], view) : undefined;
  return UnflattenRows(g, Gemm(g, FlattenRows(g, x), weight, shift), x);
}

/** `x sigmoid(x)` */
export function silu(g: GraphBuilder, x: Value): Value {
  return Mul(g, x, Sigmoid(g, x));
}

/** `x sigmoid(1.702 x)`, CLIP's approximation of GELU */
export function quickGelu(g: GraphBuilder, x: Value): Value {
  return Mul(g, x, Sigmoid(g, Mul(g, x, g.constant(f32([], [1.702]), "quick_gelu"))));
}
