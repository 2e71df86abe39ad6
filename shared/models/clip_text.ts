/**
 * The CLIP text encoder as a graph (transformers `CLIPTextModel`): pre-norm transformer with a causal
 * mask and no padding mask.
 *
 * @module
 */

import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { Add, Gelu } from "../onnx/ops/elementwise.ts";
import { MatMul } from "../onnx/ops/linalg.ts";
import { Gather } from "../onnx/ops/movement.ts";
import { f32 } from "../tensor/tensor.ts";
import type { ClipTextConfig } from "./config/clip_config.ts";
import { attention } from "./layers/attention.ts";
import { linear, quickGelu } from "./layers/linear.ts";
import { layerNorm } from "./layers/norm.ts";
import type { Weights } from "./weights.ts";

/**
 * Input: `input_ids` int64 `[B, L]`, L the config's `max_position_embeddings`. Outputs, f32 `[B, L, D]`:
 * `last_hidden_state` after the final layer norm, `penultimate_hidden_state` before the last layer, without it.
 */
export function clipTextGraph(
  config: ClipTextConfig,
  weights: Weights,
  name = "text_encoder",
): Graph {
  const g = new GraphBuilder(name);
  const { last, penultimate } = encoderLayers(
    g,
    config,
    weights,
    idsInput(g, config),
    config.numLayers,
  );
  g.output("penultimate_hidden_state", penultimate);
  g.output("last_hidden_state", finalLayerNorm(g, config, weights, last));
  return g.build();
}

/**
 * The encoder without its last layers, for `clipSkip` > 1. Input as `clipTextGraph()`. Output: `hidden_state` f32
 * `[B, L, D]`, without the final layer norm.
 *
 * @param numLayers that are run
 */
export function shortClipTextGraph(
  config: ClipTextConfig,
  weights: Weights,
  name: string,
  numLayers: number,
): Graph {
  const g = new GraphBuilder(name);
  g.output("hidden_state", encoderLayers(g, config, weights, idsInput(g, config), numLayers).last);
  return g.build();
}

/**
 * The last hidden state as a part of a graph, f32 `[B, L, D]`.
 *
 * @param inputIds int64 `[B, L]`
 */
export function clipTextStates(
  g: GraphBuilder,
  config: ClipTextConfig,
  weights: Weights,
  inputIds: Value,
): Value {
  const { last } = encoderLayers(g, config, weights, inputIds, config.numLayers);
  return finalLayerNorm(g, config, weights, last);
}

/** The final layer norm alone. Input: `hidden_state` f32 `[B, L, D]`. Output: `last_hidden_state` f32 `[B, L, D]`. */
export function finalLayerNormGraph(
  config: ClipTextConfig,
  weights: Weights,
  name: string,
): Graph {
  const g = new GraphBuilder(name);
  const x = g.input("hidden_state", "float32", ["B", config.maxLength, config.hiddenSize]);
  g.output("last_hidden_state", finalLayerNorm(g, config, weights, x));
  return g.build();
}

function finalLayerNorm(
  g: GraphBuilder,
  config: ClipTextConfig,
  weights: Weights,
  x: Value,
): Value {
  return layerNorm(g, weights.scope("text_model", "final_layer_norm"), x, config.layerNormEps);
}

function idsInput(g: GraphBuilder, { maxLength }: ClipTextConfig): Value {
  return g.input("input_ids", "int64", ["B", maxLength]);
}

/** Embeddings and the first `numLayers` layers: their output, and the input of the last one of them. */
function encoderLayers(
  g: GraphBuilder,
  config: ClipTextConfig,
  weights: Weights,
  inputIds: Value,
  numLayers: number,
): { readonly last: Value; readonly penultimate: Value } {
  const { hiddenSize, maxLength, vocabSize } = config;
  const text = weights.scope("text_model");
  const embeddings = text.scope("embeddings");
  const tokens = Gather(
    g,
    embeddings.tensor(g, "token_embedding.weight", [vocabSize, hiddenSize]),
    inputIds,
  );
  const positions = embeddings.tensor(g, "position_embedding.weight", [maxLength, hiddenSize]);
  const mask = causalMask(g, maxLength);

  let last = Add(g, tokens, positions);
  let penultimate = last;
  for (let i = 0; i < numLayers; i++) {
    penultimate = last;
    last = encoderLayer(g, text.scope("encoder", "layers", i), last, mask, config);
  }
  return { last, penultimate };
}

/**
 * The projection of the pooled state of SDXL's second encoder (transformers
 * `CLIPTextModelWithProjection`). Input: `pooled` f32 `[B, D]`. Output: `text_embeds` f32 `[B, P]`.
 */
export function textProjectionGraph(config: ClipTextConfig, weights: Weights): Graph {
  const g = new GraphBuilder("text_projection");
  const { hiddenSize, projectionDim = hiddenSize } = config;
  const pooled = g.input("pooled", "float32", ["B", hiddenSize]);
  // OpenCLIP stores the matrix that is multiplied from the right, transformers its transpose.
  const textEmbeds = weights.has("text_projection")
    ? MatMul(g, pooled, weights.tensor(g, "text_projection", [hiddenSize, projectionDim]))
    : linear(g, weights.scope("text_projection"), pooled, projectionDim, { bias: false });
  g.output("text_embeds", textEmbeds);
  return g.build();
}

function encoderLayer(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  mask: Value,
  config: ClipTextConfig,
): Value {
  const { hiddenSize, intermediateSize, numHeads, layerNormEps, activation } = config;
  const normed = layerNorm(g, weights.scope("layer_norm1"), x, layerNormEps);
  const project = (name: string) => linear(g, weights.scope("self_attn", name), normed, hiddenSize);
  const mixed = attention(g, {
    query: project("q_proj"),
    key: project("k_proj"),
    value: project("v_proj"),
    heads: numHeads,
    lowering: "primitive",
    mask,
  });
  x = Add(g, x, linear(g, weights.scope("self_attn", "out_proj"), mixed, hiddenSize));
  const hidden = layerNorm(g, weights.scope("layer_norm2"), x, layerNormEps);
  const expanded = linear(g, weights.scope("mlp", "fc1"), hidden, intermediateSize);
  const activated = activation === "gelu" ? Gelu(g, expanded) : quickGelu(g, expanded);
  return Add(g, x, linear(g, weights.scope("mlp", "fc2"), activated, hiddenSize));
}

/** Far below any score, so that nothing is left of it after the softmax; 16-bit floats hold it, too. */
const MASKED = -1e4;

/** 0 where a token may look (itself and before), `MASKED` elsewhere; f32 `[L, L]`. */
function causalMask(g: GraphBuilder, length: number): Value {
  const mask = f32([length, length]);
  for (let query = 0; query < length; query++) {
    for (let key = query + 1; key < length; key++) mask.data[query * length + key] = MASKED;
  }
  return g.constant(mask, "causal_mask");
}
