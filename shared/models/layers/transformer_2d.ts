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
const GROUP_NORM_EPSILON = 1e-6;
const LAYER_NORM_EPSILON = 1e-5;

export interface TransformerOptions {
  readonly heads: number;
  readonly depth: number;
  readonly groups: number;
  /** Whether `proj_in` and `proj_out` are linear layers (SDXL) instead of 1x1 convolutions. */
  readonly useLinearProjection: boolean;
  readonly lowering: Lowering;
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
    tokens = basicTransformerBlock(g, block, tokens, encoderHiddenStates, heads, lowering);
  }
  const projected = useLinearProjection
    ? toImage(linear(g, weights.scope("proj_out"), tokens, channels))
    : conv1x1(g, weights.scope("proj_out"), toImage(tokens), channels);
  return Add(g, projected, x);
}

/** Self-attention, cross-attention and feed-forward, each `x += f(norm(x))`; x f32 `[B, S, C]`. */
function basicTransformerBlock(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  encoderHiddenStates: Value,
  heads: number,
  lowering: Lowering,
): Value {
  const norm = (name: string, value: Value) =>
    layerNorm(g, weights.scope(name), value, LAYER_NORM_EPSILON);
  const normed = norm("norm1", x);
  x = Add(g, attentionLayer(g, weights.scope("attn1"), normed, normed, heads, lowering), x);
  const queries = norm("norm2", x);
  const attn2 = weights.scope("attn2");
  x = Add(g, attentionLayer(g, attn2, queries, encoderHiddenStates, heads, lowering), x);
  return Add(g, feedForward(g, weights.scope("ff"), norm("norm3", x)), x);
}

/** Projections without bias, attention, output projection with bias. */
function attentionLayer(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  context: Value,
  heads: number,
  lowering: Lowering,
): Value {
  const width = x.shape[2] as number;
  const project = (name: string, value: Value) =>
    linear(g, weights.scope(name), value, width, { bias: false });
  const mixed = attention(g, {
    query: project("to_q", x),
    key: project("to_k", context),
    value: project("to_v", context),
    heads,
    lowering,
  });
  return linear(g, weights.scope("to_out", 0), mixed, width);
}

/** GEGLU: `W2 (value gelu(gate))`, value and gate the halves of `W1 x`, four times as wide as x. */
function feedForward(g: GraphBuilder, weights: Weights, x: Value): Value {
  const width = x.shape[2] as number;
  const inner = 4 * width;
  // The halves as products of their own: the product of both would be written, then copied apart.
  const half = (first: number) =>
    linear(g, weights.scope("net", 0, "proj"), x, inner, { rows: { first, of: 2 * inner } });
  const gated = Mul(g, half(0), Gelu(g, half(inner)));
  return linear(g, weights.scope("net", 2), gated, width);
}
