/** The residual block of U-Net, VAE and SABW (diffusers `models/resnet.py`, `ResnetBlock2D`). @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Add } from "../../onnx/ops/elementwise.ts";
import { Reshape } from "../../onnx/ops/movement.ts";
import type { Weights } from "../weights.ts";
import { conv1x1, conv3x3 } from "./conv.ts";
import { linear, silu } from "./linear.ts";
import { groupNorm } from "./norm.ts";

export interface ResnetOptions {
  readonly outChannels: number;
  readonly groups: number;
  readonly epsilon: number;
  /** f32 `[B, Dt]`; blocks of a VAE have none. */
  readonly temb?: Value;
}

/**
 * `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + W silu(temb))))`
 *
 * @param x f32 `[B, C, H, W]`
 * @returns f32 `[B, outChannels, H, W]`
 */
export function resnetBlock2D(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  { outChannels, groups, epsilon, temb }: ResnetOptions,
): Value {
  let h = silu(g, groupNorm(g, weights.scope("norm1"), x, groups, epsilon));
  h = conv3x3(g, weights.scope("conv1"), h, outChannels);
  if (temb) {
    const shift = linear(g, weights.scope("time_emb_proj"), silu(g, temb), outChannels);
    h = Add(g, h, Reshape(g, shift, [0, 0, 1, 1]));
  }
  h = silu(g, groupNorm(g, weights.scope("norm2"), h, groups, epsilon));
  h = conv3x3(g, weights.scope("conv2"), h, outChannels);
  const shortcut = x.shape[1] === outChannels
    ? x
    : conv1x1(g, weights.scope("conv_shortcut"), x, outChannels);
  return Add(g, shortcut, h);
}
