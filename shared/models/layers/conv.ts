/** Convolution layers in the three forms that U-Net and VAE use. @module */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Conv, type ConvOptions } from "../../onnx/ops/convolution.ts";
import type { Weights } from "../weights.ts";

/** 3x3 convolution, padding 1. f32 `[B, C, H, W]` -> `[B, outChannels, H, W]`, or half of it with stride 2. */
export function conv3x3(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  outChannels: number,
  { stride = 1, pads = [1, 1, 1, 1] }: ConvOptions = {},
): Value {
  const weight = weights.tensor(g, "weight", [outChannels, x.shape[1] as number, 3, 3]);
  return Conv(g, x, weight, weights.tensor(g, "bias", [outChannels]), { stride, pads });
}

/** 1x1 convolution. f32 `[B, C, H, W]` -> `[B, outChannels, H, W]`. */
export function conv1x1(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  outChannels: number,
  options: { readonly bias?: boolean } = {},
): Value {
  const weight = weights.tensor(g, "weight", [outChannels, x.shape[1] as number, 1, 1]);
  const bias = options.bias === false ? undefined : weights.tensor(g, "bias", [outChannels]);
  return Conv(g, x, weight, bias);
}
