/** Normalisation layers. @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Add, Mul } from "../../onnx/ops/elementwise.ts";
import { Reshape, ReshapeLike } from "../../onnx/ops/movement.ts";
import { InstanceNormalization, LayerNormalization } from "../../onnx/ops/normalization.ts";
import { f32 } from "../../tensor/tensor.ts";
import type { Weights } from "../weights.ts";

/**
 * Group normalisation of `[B, C, H, W]`: normalise each of `groups` groups of channels over its channels
 * and pixels, then scale and shift per channel.
 */
export function groupNorm(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  groups: number,
  epsilon: number,
): Value {
  const channels = x.shape[1] as number;
  const normalized = ReshapeLike(g, normalizeGroups(g, x, groups, epsilon), x);
  const scale = weights.tensor(g, "weight", [channels], { shape: [channels, 1, 1] });
  const shift = weights.tensor(g, "bias", [channels], { shape: [channels, 1, 1] });
  return Add(g, Mul(g, normalized, scale), shift);
}

/**
 * Group normalisation before its scale and shift, `[B, groups, C/groups H W]`. Written as instance normalisation of that
 * shape, for which every device has a kernel.
 */
export function normalizeGroups(
  g: GraphBuilder,
  x: Value,
  groups: number,
  epsilon: number,
): Value {
  const ones = g.constant(f32([groups], new Float32Array(groups).fill(1)), "ones");
  const zeros = g.constant(f32([groups]), "zeros");
  return InstanceNormalization(g, Reshape(g, x, [0, groups, -1]), ones, zeros, epsilon);
}

/** Layer normalisation over the last axis. */
export function layerNorm(g: GraphBuilder, weights: Weights, x: Value, epsilon: number): Value {
  const width = x.shape.at(-1) as number;
  const scale = weights.tensor(g, "weight", [width]);
  return LayerNormalization(g, x, scale, weights.tensor(g, "bias", [width]), epsilon);
}
