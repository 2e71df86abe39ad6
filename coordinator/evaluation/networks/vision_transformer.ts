/** Parts of the vision transformers that judge pictures: patches, and layers that normalise first (Dosovitskiy et al. 2021). @module */

import type { GraphBuilder, Value } from "../../../shared/onnx/graph.ts";
import { Add, Gelu, Mul } from "../../../shared/onnx/ops/elementwise.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { ZerosLike } from "../../../shared/onnx/ops/fill.ts";
import { Concat, Reshape, Slice, Transpose } from "../../../shared/onnx/ops/movement.ts";
import { attention } from "../../../shared/models/layers/attention.ts";
import { linear, quickGelu } from "../../../shared/models/layers/linear.ts";
import { layerNorm } from "../../../shared/models/layers/norm.ts";
import type { Weights } from "../../../shared/models/weights.ts";

export interface PatchOptions {
  readonly width: number;
  /** Pixels of a patch on each side. */
  readonly patch: number;
  /** @default true */
  readonly bias?: boolean;
}

/**
 * One token per patch, row by row.
 *
 * @param pixels f32 `[B, 3, H, W]`, of known size
 * @returns f32 `[B, patches, width]`
 */
export function patchTokens(
  g: GraphBuilder,
  weights: Weights,
  pixels: Value,
  { width, patch, bias = true }: PatchOptions,
): Value {
  const kernel = weights.tensor(g, "weight", [width, 3, patch, patch]);
  const shift = bias ? weights.tensor(g, "bias", [width]) : undefined;
  const rows = Conv(g, pixels, kernel, shift, { stride: patch });
  return Transpose(g, Reshape(g, rows, [0, 0, -1]), [0, 2, 1]);
}

/**
 * Puts a token that is the same for all pictures before the others.
 *
 * @param token f32 `[1, 1, D]`
 * @param tokens f32 `[B, N, D]`
 */
export function prepend(g: GraphBuilder, token: Value, tokens: Value): Value {
  // Broadcast over the batch, which only the run knows.
  const repeated = Add(g, ZerosLike(g, Slice(g, tokens, 1, 0, 1)), token);
  return Concat(g, [repeated, tokens], 1);
}

/** Keys of a layer's parts. */
export interface LayerKeys {
  readonly norm1: string;
  /** Three linear layers, or the one whose rows are queries, keys and values. */
  readonly attention: readonly [query: string, key: string, value: string] | string;
  readonly out: string;
  readonly norm2: string;
  readonly fc1: string;
  readonly fc2: string;
  /** Factors per channel of what the attention and the perceptron add (layer scale). */
  readonly scales?: readonly [string, string];
}

export interface LayerOptions {
  readonly keys: LayerKeys;
  readonly heads: number;
  /** Width inside the perceptron. */
  readonly hidden: number;
  readonly epsilon: number;
  readonly activation: "gelu" | "quick_gelu";
}

/** f32 `[B, N, D]` -> the same: `x + attention(norm(x))`, then `x + perceptron(norm(x))`. */
export function preNormLayer(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  { keys, heads, hidden, epsilon, activation }: LayerOptions,
): Value {
  const width = x.shape[2] as number;
  const scaled = (value: Value, which: 0 | 1) =>
    keys.scales ? Mul(g, value, weights.tensor(g, keys.scales[which], [width])) : value;
  const normed = layerNorm(g, weights.scope(keys.norm1), x, epsilon);
  const [query, key, value] = [0, 1, 2].map((part) =>
    typeof keys.attention === "string"
      ? linear(g, weights.scope(keys.attention), normed, width, {
        rows: { first: part * width, of: 3 * width },
      })
      : linear(g, weights.scope(keys.attention[part]!), normed, width)
  );
  const mixed = attention(g, {
    query: query!,
    key: key!,
    value: value!,
    heads,
    lowering: "fused",
  });
  x = Add(g, x, scaled(linear(g, weights.scope(keys.out), mixed, width), 0));
  const inner = linear(
    g,
    weights.scope(keys.fc1),
    layerNorm(g, weights.scope(keys.norm2), x, epsilon),
    hidden,
  );
  const activated = activation === "gelu" ? Gelu(g, inner) : quickGelu(g, inner);
  return Add(g, x, scaled(linear(g, weights.scope(keys.fc2), activated, width), 1));
}
