/**
 * Spatial-Aware Block-Wise feature aggregator (SABW) of one U-Net block as a graph (`docs/spec.md`, "SABW"; the
 * paper's Eq. 8-11 in the form of its code). It looks at the features of N models and decides pixel by pixel how much each
 * contributes.
 *
 * @module
 */

import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { Add, Mul } from "../onnx/ops/elementwise.ts";
import { Concat, Slice } from "../onnx/ops/movement.ts";
import { Softmax } from "../onnx/ops/normalization.ts";
import { ReduceMean } from "../onnx/ops/reduction.ts";
import { f32 } from "../tensor/tensor.ts";
import type { Ablation, SabwConfig } from "./config/sabw_config.ts";
import type { Lowering } from "./layers/attention.ts";
import { conv1x1 } from "./layers/conv.ts";
import { resnetBlock2D } from "./layers/resnet_block_2d.ts";
import { type KeysAndValues, keysAndValues, transformer2DModel } from "./layers/transformer_2d.ts";
import { convInSum, transformerLogits } from "./sabw_logits.ts";
import type { Weights } from "./weights.ts";

/** diffusers' default of ResnetBlock2D, not the U-Net's own. */
const RESNET_EPSILON = 1e-6;

/**
 * What a SABW graph takes of the text: the encoders' states, or the keys and values of them that `sabwTextGraph()` computes
 * once for all steps.
 */
export type SabwText = "states" | "keys and values";

/**
 * Inputs: `features_0` .. `features_{N-1}` f32 `[B, C, H, W]` in expert order, `temb` f32 `[B, Dt]` and
 * `encoder_hidden_states` f32 `[B, L, D]`, both means over the experts; instead of the latter `key_l` and `value_l` f32
 * `[B, L, hiddenSize]` of each layer l.
 * Outputs: `attention_map` A f32 `[B, N, H, W]`, sums to 1 over N; `aggregated_features` f32 `[B, C, H, W]`.
 *
 * @param lowering `primitive` is layer by layer, as the weights are stored
 */
export function sabwGraph(
  name: string,
  config: SabwConfig,
  weights: Weights,
  lowering: Lowering = "fused",
  text: SabwText = "states",
): Graph {
  const g = new GraphBuilder(name);
  const { inChannels, numExperts, hiddenSize, normNumGroups: groups } = config;
  const features = Array.from(
    { length: numExperts },
    (_, i) => g.input(`features_${i}`, "float32", ["B", inChannels, "H", "W"]),
  );
  const temb = unlessBlind(
    g,
    config,
    "timestep",
    g.input("temb", "float32", ["B", config.timeEmbedDim]),
  );

  const convIn = weights.scope("conv_in");
  const x = lowering === "fused"
    ? convInSum(g, convIn, features, hiddenSize)
    : conv1x1(g, convIn, Concat(g, features, 1), hiddenSize);
  const h = resnetBlock2D(g, weights.scope("res_block"), x, {
    outChannels: hiddenSize,
    groups,
    epsilon: RESNET_EPSILON,
    temb,
  });
  const logits = lowering === "fused"
    ? transformerLogits(g, weights, h, textInputs(g, config, weights, text), config)
    : layeredLogits(g, config, weights, h);
  const attentionMap = Softmax(g, atTemperature(g, config, perPixel(g, config, logits)), 1);
  g.output("attention_map", attentionMap);
  g.output("aggregated_features", weightedSum(g, attentionMap, features));
  return g.build();
}

/**
 * Input: `encoder_hidden_states` f32 `[B, L, D]`. Outputs: `key_l` and `value_l` f32 `[B, L, hiddenSize]` of each layer l.
 */
export function sabwTextGraph(name: string, config: SabwConfig, weights: Weights): Graph {
  const g = new GraphBuilder(name);
  for (const [l, { key, value }] of textInputs(g, config, weights, "states").entries()) {
    g.output(`key_${l}`, key);
    g.output(`value_${l}`, value);
  }
  return g.build();
}

function textStates(g: GraphBuilder, config: SabwConfig): Value {
  const shape = ["B", "L", config.crossAttentionDim] as const;
  return unlessBlind(g, config, "text", g.input("encoder_hidden_states", "float32", shape));
}

/** Zeros for what the aggregator does not see: what is left of its layers then are biases. */
function unlessBlind(
  g: GraphBuilder,
  { without = [] }: SabwConfig,
  ablation: Ablation,
  value: Value,
): Value {
  return without.includes(ablation) ? Mul(g, value, g.constant(f32([], [0]), "zero")) : value;
}

/** Blind to space, all pixels have the mean of their logits. */
function perPixel(g: GraphBuilder, config: SabwConfig, logits: Value): Value {
  if (!config.without?.includes("space")) return logits;
  const mean = ReduceMean(g, logits, [2, 3], { keepdims: true });
  return Add(g, Mul(g, logits, g.constant(f32([], [0]), "zero")), mean);
}

function atTemperature(g: GraphBuilder, { temperature }: SabwConfig, logits: Value): Value {
  if (temperature === undefined) return logits;
  return Mul(g, logits, g.constant(f32([], [1 / temperature]), "inverse_temperature"));
}

/** Of each layer. */
function textInputs(
  g: GraphBuilder,
  config: SabwConfig,
  weights: Weights,
  text: SabwText,
): KeysAndValues[] {
  const { hiddenSize, numLayers } = config;
  const layers = Array.from({ length: numLayers }, (_, l) => l);
  if (text === "keys and values") {
    const input = (name: string) => g.input(name, "float32", ["B", "L", hiddenSize]);
    return layers.map((l) => ({ key: input(`key_${l}`), value: input(`value_${l}`) }));
  }
  const states = textStates(g, config);
  const blocks = weights.scope("transformer", "transformer_blocks");
  return layers.map((l) => keysAndValues(g, blocks.scope(l, "attn2"), states, hiddenSize));
}

function layeredLogits(g: GraphBuilder, config: SabwConfig, weights: Weights, h: Value): Value {
  const x = transformer2DModel(g, weights.scope("transformer"), h, textStates(g, config), {
    heads: config.numHeads,
    depth: config.numLayers,
    groups: config.normNumGroups,
    useLinearProjection: false,
    lowering: "primitive",
  });
  return conv1x1(g, weights.scope("conv_out"), x, config.numExperts, { bias: false });
}

/** `sum_i A_i f_i`, A f32 `[B, N, H, W]`, f_i f32 `[B, C, H, W]`. */
function weightedSum(g: GraphBuilder, attentionMap: Value, features: readonly Value[]): Value {
  return features
    .map((feature, i) => Mul(g, Slice(g, attentionMap, 1, i, i + 1), feature))
    .reduce((sum, term) => Add(g, sum, term));
}
