/** ImageReward (Xu et al. 2023): BLIP's two transformers look at picture and prompt together, a perceptron scores what they see. @module */

import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { attention } from "../../../shared/models/layers/attention.ts";
import { linear } from "../../../shared/models/layers/linear.ts";
import { layerNorm } from "../../../shared/models/layers/norm.ts";
import { Weights, type WeightTable } from "../../../shared/models/weights.ts";
import { type Graph, GraphBuilder, type Value } from "../../../shared/onnx/graph.ts";
import { Add, Gelu } from "../../../shared/onnx/ops/elementwise.ts";
import { Gather, Reshape, Slice } from "../../../shared/onnx/ops/movement.ts";
import { f32, type F32Tensor, i64 } from "../../../shared/tensor/tensor.ts";
import type { WordPieces } from "../preprocessing/wordpiece.ts";
import { linearStack } from "./perceptron.ts";
import { patchTokens, preNormLayer, prepend } from "./vision_transformer.ts";

/** Mean and standard deviation of the published model's raw scores on its training set. */
const MEAN = 0.16717362830052426, STD = 1.0333394966054072;

/** ImageReward's score from the network's raw output. */
export function normalizedReward(raw: number): number {
  return (raw - MEAN) / STD;
}

export interface ImageRewardConfig {
  readonly vision: {
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    readonly hidden: number;
    readonly imageSize: number;
    readonly patchSize: number;
    readonly layerNormEps: number;
  };
  readonly text: {
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    readonly hidden: number;
    readonly vocabSize: number;
    readonly maxPositions: number;
    readonly layerNormEps: number;
  };
}

/** @throws {FormatError} naming file and field */
export async function readImageRewardConfig(path: string): Promise<ImageRewardConfig> {
  const fields = await ConfigFields.read(path);
  const vision = fields.section("vision"), text = fields.section("med_config");
  text.mustBe("hidden_act", "gelu");
  const width = vision.count("width");
  return {
    vision: {
      width,
      layers: vision.count("layers"),
      heads: vision.count("heads"),
      hidden: Math.trunc(width * vision.number("mlp_ratio", 4)),
      imageSize: vision.count("image_size", 224),
      patchSize: vision.count("patch_size", 16),
      layerNormEps: vision.number("layer_norm_eps", 1e-6),
    },
    text: {
      width: text.count("hidden_size", 768),
      layers: text.count("num_hidden_layers", 12),
      heads: text.count("num_attention_heads", 12),
      hidden: text.count("intermediate_size", 3072),
      vocabSize: text.count("vocab_size", 30524),
      maxPositions: text.count("max_position_embeddings", 512),
      layerNormEps: text.number("layer_norm_eps", 1e-12),
    },
  };
}

/** BLIP's projections for a loss that scoring does not need, and a buffer. */
const UNUSED = /^blip\.(vision|text)_proj\.|\.position_ids$/;

/** Tokens of a prompt, begin, end and padding included. */
export const TEXT_LENGTH = 35;

/** Far below any score. */
const MASKED = -1e4;

const VISION_KEYS = {
  norm1: "norm1",
  attention: "attn.qkv",
  out: "attn.proj",
  norm2: "norm2",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
} as const;

export class ImageRewardNetwork implements AsyncDisposable {
  readonly config: ImageRewardConfig;
  readonly #runner: GraphRunner;

  private constructor(config: ImageRewardConfig, runner: GraphRunner) {
    this.config = config;
    this.#runner = runner;
  }

  /**
   * @param textLength tokens of a prompt
   * @throws {FormatError} if the weights do not fit the config
   */
  static async open(
    path: string,
    config: ImageRewardConfig,
    options: ComputeOptions,
    textLength = TEXT_LENGTH,
  ): Promise<ImageRewardNetwork> {
    const table = await readWeightTable(path, (key) => UNUSED.test(key) ? undefined : key);
    const weights = Weights.of(table);
    const graphs = [
      visionGraph(config, weights),
      rewardGraph(config, weights, { table, textLength }),
    ];
    weights.check(`ImageReward of "${path}"`);
    return new ImageRewardNetwork(config, new GraphRunner(graphs, { ...options, lanes: 1 }));
  }

  /**
   * @param pixels f32 `[N, 3, S, S]`
   * @returns states of the class token and of every patch, f32 `[N, 1 + patches, D]`
   */
  async imageTokens(pixels: F32Tensor): Promise<F32Tensor> {
    const { vision: { width, imageSize, patchSize } } = this.config;
    const { outputs } = await this.#runner.run("image_tokens", { pixels }, {
      image_tokens: {
        dtype: "float32",
        shape: [pixels.shape[0]!, 1 + Math.floor(imageSize / patchSize) ** 2, width],
      },
    });
    return outputs.image_tokens as F32Tensor;
  }

  /**
   * Raw scores, for `normalizedReward()`.
   *
   * @param texts one per picture, of one length
   */
  async rawScores(imageTokens: F32Tensor, texts: readonly WordPieces[]): Promise<number[]> {
    const length = texts[0]!.inputIds.length;
    const { outputs } = await this.#runner.run("reward", {
      image_tokens: imageTokens,
      input_ids: i64([texts.length, length], texts.flatMap(({ inputIds }) => inputIds)),
      mask: f32(
        [texts.length, length],
        texts.flatMap(({ attentionMask }) => attentionMask.map((one) => one ? 0 : MASKED)),
      ),
    }, { raw: { dtype: "float32", shape: [texts.length, 1] } });
    return [...(outputs.raw as F32Tensor).data];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}

function visionGraph({ vision }: ImageRewardConfig, weights: Weights): Graph {
  const { width, imageSize, patchSize, layers, heads, hidden, layerNormEps: epsilon } = vision;
  const g = new GraphBuilder("image_tokens");
  const pixels = g.input("pixels", "float32", ["B", 3, imageSize, imageSize]);
  const tower = weights.scope("blip", "visual_encoder");
  const patches = patchTokens(g, tower.scope("patch_embed", "proj"), pixels, {
    ...{ width, patch: patchSize },
  });
  const count = 1 + Math.floor(imageSize / patchSize) ** 2;
  const positions = tower.tensor(g, "pos_embed", [1, count, width]);
  let x = Add(g, prepend(g, tower.tensor(g, "cls_token", [1, 1, width]), patches), positions);
  for (let i = 0; i < layers; i++) {
    x = preNormLayer(g, tower.scope("blocks", i), x, {
      ...{ keys: VISION_KEYS, heads, hidden, epsilon, activation: "gelu" },
    });
  }
  g.output("image_tokens", layerNorm(g, tower.scope("norm"), x, epsilon));
  return g.build();
}

/** BERT whose layers look at the picture, too; then the perceptron on its first state. */
function rewardGraph(
  { vision, text }: ImageRewardConfig,
  weights: Weights,
  { table, textLength }: { readonly table: WeightTable; readonly textLength: number },
): Graph {
  const { width, layers, hidden, vocabSize, maxPositions, layerNormEps: epsilon } = text;
  const g = new GraphBuilder("reward");
  const tokens = g.input("image_tokens", "float32", ["B", "N", vision.width]);
  const ids = g.input("input_ids", "int64", ["B", textLength]);
  const mask = g.input("mask", "float32", ["B", textLength]);
  const bert = weights.scope("blip", "text_encoder"), embeddings = bert.scope("embeddings");
  const words = Gather(
    g,
    embeddings.tensor(g, "word_embeddings.weight", [vocabSize, width]),
    ids,
  );
  const positions = embeddings.tensor(g, "position_embeddings.weight", [maxPositions, width], {
    rows: [0, textLength],
  });
  let x = layerNorm(g, embeddings.scope("LayerNorm"), Add(g, words, positions), epsilon);
  // The same for all heads and queries.
  const padding = Reshape(g, mask, [0, 1, 1, textLength]);
  for (let i = 0; i < layers; i++) {
    const layer = bert.scope("encoder", "layer", i);
    x = postNormAttention(g, layer.scope("attention"), x, x, text, padding);
    // Of the picture nothing is hidden.
    x = postNormAttention(g, layer.scope("crossattention"), x, tokens, text);
    const inner = Gelu(g, linear(g, layer.scope("intermediate", "dense"), x, hidden));
    const outer = linear(g, layer.scope("output", "dense"), inner, width);
    x = layerNorm(g, layer.scope("output", "LayerNorm"), Add(g, outer, x), epsilon);
  }
  const first = Reshape(g, Slice(g, x, 1, 0, 1), [0, width]);
  g.output("raw", linearStack(g, weights.scope("mlp"), first, { table, prefix: "mlp." }));
  return g.build();
}

/** `norm(x + attention(x, states))`, as BERT has it. */
function postNormAttention(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  states: Value,
  { width, heads, layerNormEps }: ImageRewardConfig["text"],
  mask?: Value,
): Value {
  const own = weights.scope("self"), output = weights.scope("output");
  const mixed = attention(g, {
    query: linear(g, own.scope("query"), x, width),
    key: linear(g, own.scope("key"), states, width),
    value: linear(g, own.scope("value"), states, width),
    heads,
    lowering: "primitive",
    ...(mask && { mask }),
  });
  const added = Add(g, linear(g, output.scope("dense"), mixed, width), x);
  return layerNorm(g, output.scope("LayerNorm"), added, layerNormEps);
}
