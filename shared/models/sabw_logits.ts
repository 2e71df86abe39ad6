/**
 * The logits F of SABW (`docs/spec.md`, "SABW") in fewer operations than layer by layer, for running. What is linear and follows on
 * something linear is one product, with a matrix that ONNX Runtime makes once, at load. Equal up to rounding:
 *
 * - `conv_in [f_1; ..; f_N] = sum_i W_i f_i`: the features are not copied side by side.
 * - `proj_in` takes in the scale and shift of the norm before it.
 * - Only `conv_out` reads the last feed-forward and `proj_out`: with it they have N outputs instead of hiddenSize.
 *
 * @module
 */

import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { Add, Mul } from "../onnx/ops/elementwise.ts";
import { Gemm, MatMul } from "../onnx/ops/linalg.ts";
import {
  FlattenRows,
  Reshape,
  Slice,
  Transpose,
  UnflattenPixels,
  UnflattenRows,
} from "../onnx/ops/movement.ts";
import type { SabwConfig } from "./config/sabw_config.ts";
import { normalizeGroups } from "./layers/norm.ts";
import {
  attentionLayers,
  basicTransformerBlock,
  feedForwardNorm,
  feedForwardUnits,
  GROUP_NORM_EPSILON,
  type KeysAndValues,
} from "./layers/transformer_2d.ts";
import type { Weights } from "./weights.ts";

/**
 * `conv_in` over the features of all experts.
 *
 * @param features f32 `[B, C, H, W]` each
 * @returns f32 `[B, outChannels, H, W]`
 */
export function convInSum(
  g: GraphBuilder,
  weights: Weights,
  features: readonly Value[],
  outChannels: number,
): Value {
  const image = features[0]!;
  const channels = image.shape[1] as number;
  const weight = matrix(g, weights, outChannels, features.length * channels);
  const terms = features.map((feature, i) =>
    MatMul(g, Slice(g, weight, 1, i * channels, (i + 1) * channels), flattenPixels(g, feature))
  );
  const sum = terms.reduce((sum, term) => Add(g, sum, term));
  return UnflattenPixels(g, Add(g, sum, biasColumn(g, weights, outChannels)), image);
}

/**
 * `conv_out(transformer(x))`; the transformer's last step adds x.
 *
 * @param weights of the whole aggregator
 * @param x f32 `[B, hiddenSize, H, W]`
 * @param contexts what the text cross-attention of each block looks at
 * @returns F, f32 `[B, N, H, W]`
 */
export function transformerLogits(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  contexts: readonly KeysAndValues[],
  { numExperts, hiddenSize, numHeads, normNumGroups }: SabwConfig,
): Value {
  const transformer = weights.scope("transformer");
  const options = { heads: numHeads, lowering: "fused" } as const;
  let tokens = projectIn(g, transformer, x, normNumGroups);
  const blocks = contexts.map((context, i) => ({
    context,
    block: transformer.scope("transformer_blocks", i),
  }));
  const last = blocks.pop()!;
  for (const { block, context } of blocks) {
    tokens = basicTransformerBlock(g, block, tokens, context, options);
  }
  tokens = attentionLayers(g, last.block, tokens, last.context, options);
  const ff = last.block.scope("ff");
  const units = feedForwardUnits(g, ff, feedForwardNorm(g, last.block, tokens));

  // F = Wo (x + bp + Wp (tokens + b2 + W2 units))
  const wo = matrix(g, weights.scope("conv_out"), numExperts, hiddenSize);
  const wp = matrix(g, transformer.scope("proj_out"), hiddenSize, hiddenSize);
  const bp = biasColumn(g, transformer.scope("proj_out"), hiddenSize);
  const w2 = ff.scope("net", 2).tensor(g, "weight", [hiddenSize, 4 * hiddenSize]);
  const b2 = biasColumn(g, ff.scope("net", 2), hiddenSize);
  const ofTokens = MatMul(g, wo, wp);
  const ofUnits = MatMul(g, ofTokens, w2);
  const bias = Reshape(g, MatMul(g, wo, Add(g, MatMul(g, wp, b2), bp)), [numExperts]);
  const rows = Add(
    g,
    Gemm(g, FlattenRows(g, tokens), ofTokens, bias),
    Gemm(g, FlattenRows(g, units), ofUnits),
  );
  const ofBlocks = Transpose(g, UnflattenRows(g, rows, tokens), [0, 2, 1]);
  return UnflattenPixels(g, Add(g, MatMul(g, wo, flattenPixels(g, x)), ofBlocks), x);
}

/** `proj_in(norm(x))` as tokens, f32 `[B, H W, hiddenSize]`. */
function projectIn(g: GraphBuilder, transformer: Weights, x: Value, groups: number): Value {
  const width = x.shape[1] as number;
  const norm = transformer.scope("norm");
  const projection = transformer.scope("proj_in");
  const weight = matrix(g, projection, width, width);
  const scaled = Mul(g, weight, norm.tensor(g, "weight", [width]));
  const shift = MatMul(g, weight, biasColumn(g, norm, width));
  const bias = Reshape(g, Add(g, shift, biasColumn(g, projection, width)), [width]);
  const normalized = Reshape(g, normalizeGroups(g, x, groups, GROUP_NORM_EPSILON), [0, width, -1]);
  const tokens = Transpose(g, normalized, [0, 2, 1]);
  return UnflattenRows(g, Gemm(g, FlattenRows(g, tokens), scaled, bias), tokens);
}

const flattenPixels = (g: GraphBuilder, image: Value) => Reshape(g, image, [0, 0, -1]);

/** The weight of a 1x1 convolution. */
function matrix(g: GraphBuilder, weights: Weights, rows: number, columns: number): Value {
  return weights.tensor(g, "weight", [rows, columns, 1, 1], { shape: [rows, columns] });
}

function biasColumn(g: GraphBuilder, weights: Weights, rows: number): Value {
  return weights.tensor(g, "bias", [rows], { shape: [rows, 1] });
}
