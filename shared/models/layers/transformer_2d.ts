/**
 * The spatial transformer of U-Net and SABW (diffusers `models/transformers/transformer_2d.py` and
 * `models/attention.py`, `BasicTransformerBlock`).
 *
 * @module
 */

import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import { Add, Gelu, Mul } from "../../onnx/ops/elementwise.ts";
import { Reshape, ReshapeLike, Transpose } from "../../onnx/ops/movement.ts";
import type { Weights } from "../weights.ts";
import { attention, type Lowering } from "./attention.ts";
import { conv1x1 } from "./conv.ts";
import { linear } from "./linear.ts";
import { groupNorm, layerNorm } from "./norm.ts";

/** diffusers' fixed epsilons: they stand in no config. */
export const GROUP_NORM_EPSILON = 1e-6;
const LAYER_NORM_EPSILON = 1e-5;

export interface BlockOptions {
  readonly heads: number;
  readonly lowering: Lowering;
}

export interface TransformerOptions extends BlockOptions {
  readonly depth: number;
  readonly groups: number;
  /** Whether `proj_in` and `proj_out` are linear layers (SDXL) instead of 1x1 convolutions. */
  readonly useLinearProjection: boolean;
}

/** What attention looks at, f32 `[B, L, C]` each. */
export interface KeysAndValues {
  readonly key: Value;
  readonly value: Value;
}

/**
 * `x + proj_out(blocks(proj_in(norm(x))))` over the pixels as tokens.
 *
 * @param x f32 `[B, C, H, W]`
 * @param encoderHiddenStates f32 `[B, L, D]`
 * @returns f32 `[B, C, H, W]`
 */
export function transformer2DModel(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  encoderHiddenStates: Value,
  { heads, depth, groups, useLinearProjection, lowering }: TransformerOptions,
): Value {
  const channels = x.shape[1] as number;
  const toTokens = (image: Value) => Transpose(g, Reshape(g, image, [0, channels, -1]), [0, 2, 1]);
  const toImage = (tokens: Value) => ReshapeLike(g, Transpose(g, tokens, [0, 2, 1]), x);

  const normed = groupNorm(g, weights.scope("norm"), x, groups, GROUP_NORM_EPSILON);
  let tokens = useLinearProjection
    ? linear(g, weights.scope("proj_in"), toTokens(normed), channels)
    : toTokens(conv1x1(g, weights.scope("proj_in"), normed, channels));
  for (let i = 0; i < depth; i++) {
    const block = weights.scope("transformer_blocks", i);
    const context = keysAndValues(g, block.scope("attn2"), encoderHiddenStates, channels);
    tokens = basicTransformerBlock(g, block, tokens, context, { heads, lowering });
  }
  const projected = useLinearProjection
    ? toImage(linear(g, weights.scope("proj_out"), tokens, channels))
    : conv1x1(g, weights.scope("proj_out"), toImage(tokens), channels);
  return Add(g, projected, x);
}

/** Self-attention, cross-attention and feed-forward, each `x += f(norm(x))`; x f32 `[B, S, C]`. */
export function basicTransformerBlock(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  context: KeysAndValues,
  options: BlockOptions,
): Value {
  const mixed = attentionLayers(g, weights, x, context, options);
  const ff = weights.scope("ff");
  const units = feedForwardUnits(g, ff, feedForwardNorm(g, weights, mixed));
  return Add(g, linear(g, ff.scope("net", 2), units, mixed.shape[2] as number), mixed);
}

/** A block without its feed-forward. */
export function attentionLayers(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  context: KeysAndValues,
  options: BlockOptions,
): Value {
  const norm = (name: string, value: Value) =>
    layerNorm(g, weights.scope(name), value, LAYER_NORM_EPSILON);
  const attn1 = weights.scope("attn1");
  const normed = norm("norm1", x);
  const own = keysAndValues(g, attn1, normed, x.shape[2] as number);
  x = Add(g, attentionLayer(g, attn1, normed, own, options), x);
  return Add(g, attentionLayer(g, weights.scope("attn2"), norm("norm2", x), context, options), x);
}

/** What an attention layer whose tokens have `width` channels looks at; `source` f32 `[B, L, D]`. */
export function keysAndValues(
  g: GraphBuilder,
  weights: Weights,
  source: Value,
  width: number,
): KeysAndValues {
  const project = (name: string) => linear(g, weights.scope(name), source, width, { bias: false });
  return { key: project("to_k"), value: project("to_v") };
}

/** Projections without bias, attention, output projection with bias. */
function attentionLayer(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  { key, value }: KeysAndValues,
  { heads, lowering }: BlockOptions,
): Value {
  const width = x.shape[2] as number;
  const query = linear(g, weights.scope("to_q"), x, width, { bias: false });
  const mixed = attention(g, { query, key, value, heads, lowering });
  return linear(g, weights.scope("to_out", 0), mixed, width);
}

/** What a block's feed-forward reads. */
export function feedForwardNorm(g: GraphBuilder, weights: Weights, x: Value): Value {
  return layerNorm(g, weights.scope("norm3"), x, LAYER_NORM_EPSILON);
}

/**
 * GEGLU: `value gelu(gate)`, value and gate the halves of `W1 x`. The feed-forward is `W2` of these units.
 *
 * @returns f32 `[B, S, 4 C]`
 */
export function feedForwardUnits(g: GraphBuilder, weights: Weights, x: Value): Value {
  const inner = 4 * (x.shape[2] as number);
  // The halves as products of their own: the product of both would be written, then copied apart.
  const half = (first: number) =>
    linear(g, weights.scope("net", 0, "proj"), x, inner, { rows: { first, of: 2 * inner } });
  return Mul(g, half(0), Gelu(g, half(inner)));
}
