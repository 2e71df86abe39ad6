/**
 * One U-Net block as a graph (`docs/spec.md`, "Blocks of the U-Net"; diffusers `unet_2d_blocks.py`).
 *
 * Inputs, as far as the block needs them: `hidden_states` f32 `[B, C, H, W]`, `temb` f32 `[B, Dt]`,
 * `encoder_hidden_states` f32 `[B, L, D]`, `residual` f32 `[B, C', H, W]` (the skip), `target_size` int64 `[2]`.
 * Output: `output` f32 `[B, M, H', W']`.
 *
 * @module
 */

import type { Dim } from "../../onnx/dim.ts";
import { type Graph, GraphBuilder, type Value } from "../../onnx/graph.ts";
import { Concat, ResizeNearest } from "../../onnx/ops/movement.ts";
import type { UNetConfig } from "../config/unet_config.ts";
import type { Lowering } from "../layers/attention.ts";
import { conv3x3 } from "../layers/conv.ts";
import { silu } from "../layers/linear.ts";
import { groupNorm } from "../layers/norm.ts";
import { resnetBlock2D } from "../layers/resnet_block_2d.ts";
import { transformer2DModel } from "../layers/transformer_2d.ts";
import type { Weights } from "../weights.ts";
import type { UNetBlock } from "./block_table.ts";

/** Width of the time embedding after its MLP. */
export function timeEmbedDim(config: UNetConfig): number {
  return 4 * config.blockOutChannels[0]!;
}

/** What flows into a block, as far as the block needs it. */
export interface UNetBlockInputs {
  /** `[B, C, H, W]` */
  readonly hiddenStates: Value;
  /** `[B, Dt]` */
  readonly temb?: Value;
  /** `[B, L, D]` */
  readonly encoderHiddenStates?: Value;
  /** The skip, `[B, C', H, W]`. */
  readonly residual?: Value;
  readonly target?: UpsamplingTarget;
}

/** What an up-sampling goes to. */
export interface UpsamplingTarget {
  /** int64 `[2]` */
  readonly size: Value;
  readonly dims: readonly [Dim, Dim];
}

export function unetBlockGraph(
  block: UNetBlock,
  config: UNetConfig,
  weights: Weights,
  lowering: Lowering = "fused",
): Graph {
  const g = new GraphBuilder(block.id);
  const inputs: UNetBlockInputs = {
    hiddenStates: g.input("hidden_states", "float32", ["B", block.inChannels, "H", "W"]),
    ...(block.resnets.length > 0 && {
      temb: g.input("temb", "float32", ["B", timeEmbedDim(config)]),
    }),
    ...(block.attention && {
      encoderHiddenStates: g.input("encoder_hidden_states", "float32", [
        "B",
        "L",
        config.crossAttentionDim,
      ]),
    }),
    ...(block.skipFrom && {
      residual: g.input("residual", "float32", ["B", block.skipChannels, "H", "W"]),
    }),
    ...(block.upsampler && {
      target: { size: g.input("target_size", "int64", [2]), dims: ["TH", "TW"] as const },
    }),
  };
  g.output("output", unetBlock(g, block, config, weights, inputs, lowering));
  return g.build();
}

/** A block as a part of a graph. */
export function unetBlock(
  g: GraphBuilder,
  block: UNetBlock,
  config: UNetConfig,
  weights: Weights,
  { hiddenStates, temb, encoderHiddenStates, residual, target }: UNetBlockInputs,
  lowering: Lowering,
): Value {
  const { normNumGroups: groups, normEps: epsilon } = config;
  let h = residual ? Concat(g, [hiddenStates, residual], 1) : hiddenStates;

  const outChannels = config.blockOutChannels[block.level]!;
  const resnet = (location: string, x: Value) =>
    resnetBlock2D(g, weights.scope(location), x, { outChannels, groups, epsilon, temb: temb! });
  const [firstResnet, secondResnet] = block.resnets;

  if (block.kind === "conv_in") h = conv3x3(g, weights.scope("conv_in"), h, outChannels);
  if (firstResnet) h = resnet(firstResnet, h);
  if (block.attention) {
    h = transformer2DModel(g, weights.scope(block.attention), h, encoderHiddenStates!, {
      heads: config.numHeads[block.level]!,
      depth: config.transformerLayers[block.level]!,
      groups,
      useLinearProjection: config.useLinearProjection,
      lowering,
    });
  }
  if (secondResnet) h = resnet(secondResnet, h);
  if (block.downsampler) {
    h = conv3x3(g, weights.scope(block.downsampler), h, outChannels, { stride: 2 });
  }
  if (block.upsampler) {
    h = ResizeNearest(g, h, target!.size, target!.dims);
    h = conv3x3(g, weights.scope(block.upsampler), h, outChannels);
  }
  if (block.isOutput) {
    h = silu(g, groupNorm(g, weights.scope("conv_norm_out"), h, groups, epsilon));
    h = conv3x3(g, weights.scope("conv_out"), h, block.outChannels);
  }
  return h;
}
