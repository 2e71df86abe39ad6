/**
 * Spatial-Aware Block-Wise feature aggregator (SABW) of one U-Net block as a graph (SPEC 1.2, the
 * paper's Eq. 8-11 in the form of its code). It looks at the features of N models and decides pixel by pixel how much each
 * contributes.
 *
 * @module
 */

import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { Add, Mul } from "../onnx/ops/elementwise.ts";
import { Concat, Slice } from "../onnx/ops/movement.ts";
import { Softmax } from "../onnx/ops/normalization.ts";
import type { SabwConfig } from "./config/sabw_config.ts";
import type { Lowering } from "./layers/attention.ts";
import { conv1x1 } from "./layers/conv.ts";
import { resnetBlock2D } from "./layers/resnet_block_2d.ts";
import { transformer2DModel } from "./layers/transformer_2d.ts";
import type { Weights } from "./weights.ts";

/** diffusers' default of ResnetBlock2D, not the U-Net's own. */
const RESNET_EPSILON = 1e-6;

/**
 * Inputs: `features_0` .. `features_{N-1}` f32 `[B, C, H, W]` in expert order, `temb` f32 `[B, Dt]` and
 * `encoder_hidden_states` f32 `[B, L, D]`, both means over the experts.
 * Outputs: `attention_map` A f32 `[B, N, H, W]`, sums to 1 over N; `aggregated_features` f32 `[B, C, H, W]`.
 */
export function sabwGraph(
  name: string,
  config: SabwConfig,
  weights: Weights,
  lowering: Lowering = "fused",
): Graph {
  const g = new GraphBuilder(name);
  const { inChannels, numExperts, hiddenSize, normNumGroups: groups } = config;
  const features = Array.from(
    { length: numExperts },
    (_, i) => g.input(`features_${i}`, "float32", ["B", inChannels, "H", "W"]),
  );
  const temb = g.input("temb", "float32", ["B", config.timeEmbedDim]);
  const context = g.input("encoder_hidden_states", "float32", ["B", "L", config.crossAttentionDim]);

  let h = conv1x1(g, weights.scope("conv_in"), Concat(g, features, 1), hiddenSize);
  h = resnetBlock2D(g, weights.scope("res_block"), h, {
    outChannels: hiddenSize,
    groups,
    epsilon: RESNET_EPSILON,
    temb,
  });
  h = transformer2DModel(g, weights.scope("transformer"), h, context, {
    heads: config.numHeads,
    depth: config.numLayers,
    groups,
    useLinearProjection: false,
    lowering,
  });
  const logits = conv1x1(g, weights.scope("conv_out"), h, numExperts, { bias: false });
  const attentionMap = Softmax(g, logits, 1);
  g.output("attention_map", attentionMap);
  g.output("aggregated_features", weightedSum(g, attentionMap, features));
  return g.build();
}

/** `sum_i A_i f_i`, A f32 `[B, N, H, W]`, f_i f32 `[B, C, H, W]`. */
function weightedSum(g: GraphBuilder, attentionMap: Value, features: readonly Value[]): Value {
  return features
    .map((feature, i) => Mul(g, Slice(g, attentionMap, 1, i, i + 1), feature))
    .reduce((sum, term) => Add(g, sum, term));
}
