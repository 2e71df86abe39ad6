/**
 * The KL autoencoder as two graphs (diffusers `AutoencoderKL`, `docs/spec.md`, "VAE"). All group norms have eps
 * 1e-6; there is no time embedding.
 *
 * @module
 */

import { mulDims } from "../onnx/dim.ts";
import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { Add, Mul } from "../onnx/ops/elementwise.ts";
import {
  Reshape,
  ReshapeLike,
  ResizeNearest,
  ShapeOf,
  Slice,
  Split,
  Transpose,
} from "../onnx/ops/movement.ts";
import { i64 } from "../tensor/tensor.ts";
import type { VaeConfig } from "./config/vae_config.ts";
import { attention, type Lowering } from "./layers/attention.ts";
import { conv1x1, conv3x3 } from "./layers/conv.ts";
import { linear, silu } from "./layers/linear.ts";
import { groupNorm } from "./layers/norm.ts";
import { resnetBlock2D } from "./layers/resnet_block_2d.ts";
import type { Weights } from "./weights.ts";

/** diffusers' fixed value; it stands in no config. */
const EPSILON = 1e-6;

/**
 * Input: `image` f32 `[B, 3, 8h, 8w]` in [-1, 1]. Outputs: `mean` and `logvar` f32 `[B, 4, h, w]`, of the
 * unscaled latents (logvar not clamped).
 */
export function vaeEncoderGraph(
  config: VaeConfig,
  weights: Weights,
  lowering: Lowering = "fused",
): Graph {
  const g = new GraphBuilder("vae_encoder");
  const image = g.input("image", "float32", ["B", config.inChannels, "H", "W"]);
  const { mean, logvar } = encodeImage(g, config, weights, image, lowering);
  g.output("mean", mean);
  g.output("logvar", logvar);
  return g.build();
}

/** The encoder as a part of a graph. */
export function encodeImage(
  g: GraphBuilder,
  config: VaeConfig,
  weights: Weights,
  image: Value,
  lowering: Lowering,
): { readonly mean: Value; readonly logvar: Value } {
  const { blockOutChannels, layersPerBlock, latentChannels, normNumGroups: groups } = config;
  const encoder = weights.scope("encoder");
  let h = conv3x3(g, encoder.scope("conv_in"), image, blockOutChannels[0]!);
  blockOutChannels.forEach((outChannels, level) => {
    const block = encoder.scope("down_blocks", level);
    for (let layer = 0; layer < layersPerBlock; layer++) {
      h = resnetBlock2D(g, block.scope("resnets", layer), h, {
        outChannels,
        groups,
        epsilon: EPSILON,
      });
    }
    if (level === blockOutChannels.length - 1) return;
    // Padded on the right and bottom only: a stride-2 convolution of its own kind.
    const options = { stride: 2, pads: [0, 0, 1, 1] } as const;
    h = conv3x3(g, block.scope("downsamplers", 0, "conv"), h, outChannels, options);
  });
  h = midBlock(g, encoder.scope("mid_block"), h, groups, lowering);
  h = silu(g, groupNorm(g, encoder.scope("conv_norm_out"), h, groups, EPSILON));
  h = conv3x3(g, encoder.scope("conv_out"), h, 2 * latentChannels);
  const moments = conv1x1(g, weights.scope("quant_conv"), h, 2 * latentChannels);
  const [mean, logvar] = Split(g, moments, 1, 2);
  return { mean: mean!, logvar: logvar! };
}

/** Input: `latents` f32 `[B, 4, h, w]`, already divided by the scaling factor. Output: `image` f32 `[B, 3, 8h, 8w]`, not clamped. */
export function vaeDecoderGraph(
  config: VaeConfig,
  weights: Weights,
  lowering: Lowering = "fused",
): Graph {
  const g = new GraphBuilder("vae_decoder");
  const latents = g.input("latents", "float32", ["B", config.latentChannels, "H", "W"]);
  g.output("image", decodeLatents(g, config, weights, latents, lowering));
  return g.build();
}

/** The decoder as a part of a graph. */
export function decodeLatents(
  g: GraphBuilder,
  config: VaeConfig,
  weights: Weights,
  latents: Value,
  lowering: Lowering,
): Value {
  const { latentChannels, layersPerBlock, normNumGroups: groups } = config;
  const channels = [...config.blockOutChannels].reverse();
  const decoder = weights.scope("decoder");
  let h = conv1x1(g, weights.scope("post_quant_conv"), latents, latentChannels);
  h = conv3x3(g, decoder.scope("conv_in"), h, channels[0]!);
  h = midBlock(g, decoder.scope("mid_block"), h, groups, lowering);
  channels.forEach((outChannels, level) => {
    const block = decoder.scope("up_blocks", level);
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      h = resnetBlock2D(g, block.scope("resnets", layer), h, {
        outChannels,
        groups,
        epsilon: EPSILON,
      });
    }
    if (level === channels.length - 1) return;
    h = conv3x3(g, block.scope("upsamplers", 0, "conv"), upsample2x(g, h), outChannels);
  });
  h = silu(g, groupNorm(g, decoder.scope("conv_norm_out"), h, groups, EPSILON));
  return conv3x3(g, decoder.scope("conv_out"), h, config.outChannels);
}

/** resnet, single-head attention over the pixels, resnet. */
function midBlock(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  groups: number,
  lowering: Lowering,
): Value {
  const outChannels = x.shape[1] as number;
  const resnet = (index: number, h: Value) =>
    resnetBlock2D(g, weights.scope("resnets", index), h, { outChannels, groups, epsilon: EPSILON });
  const h = resnet(0, x);
  const scope = weights.scope("attentions", 0);
  const normed = groupNorm(g, scope.scope("group_norm"), h, groups, EPSILON);
  const tokens = Transpose(g, Reshape(g, normed, [0, outChannels, -1]), [0, 2, 1]);
  const project = (name: string) => linear(g, scope.scope(name), tokens, outChannels);
  const mixed = attention(g, {
    query: project("to_q"),
    key: project("to_k"),
    value: project("to_v"),
    heads: 1,
    lowering,
  });
  const projected = linear(g, scope.scope("to_out", 0), mixed, outChannels);
  return resnet(1, Add(g, ReshapeLike(g, Transpose(g, projected, [0, 2, 1]), h), h));
}

/** Nearest-neighbour up-sampling to twice the size. */
function upsample2x(g: GraphBuilder, x: Value): Value {
  const size = Slice(g, ShapeOf(g, x), 0, 2, 4);
  const target = Mul(g, size, g.constant(i64([1], [2]), "two"));
  const twice = (axis: number) => mulDims([2, x.shape[axis]!]);
  return ResizeNearest(g, x, target, [twice(2), twice(3)]);
}
