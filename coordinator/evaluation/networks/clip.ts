/** CLIP (Radford et al. 2021): pictures and texts as vectors of one space. CLIP-I, CLIP-T, CMMD, AES, PickScore and HPSv2 rest on it. @module */

import {
  openClipTable,
  openClipVisionTable,
} from "../../../shared/checkpoint/keymaps/open_clip.ts";
import { weightTable } from "../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { clipTextGraph, textProjectionGraph } from "../../../shared/models/clip_text.ts";
import { linear } from "../../../shared/models/layers/linear.ts";
import { layerNorm } from "../../../shared/models/layers/norm.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { MatMul } from "../../../shared/onnx/ops/linalg.ts";
import { Reshape, Slice } from "../../../shared/onnx/ops/movement.ts";
import { checkTensor } from "../../../shared/tensor/check.ts";
import { f32, type F32Tensor, i64, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { openWeightFile } from "../../../shared/weight_file/open_weight_file.ts";
import type { ClipConfig } from "./clip_config.ts";
import { patchTokens, preNormLayer, prepend } from "./vision_transformer.ts";

const KEYS = {
  norm1: "layer_norm1",
  attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  out: "self_attn.out_proj",
  norm2: "layer_norm2",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
} as const;

export class ClipNetwork implements AsyncDisposable {
  readonly config: ClipConfig;
  /** The logarithm of what cosines are multiplied by. */
  readonly logitScale: number;
  readonly #runner: GraphRunner;

  private constructor(config: ClipConfig, logitScale: number, runner: GraphRunner) {
    this.config = config;
    this.logitScale = logitScale;
    this.#runner = runner;
  }

  /**
   * @param path weights in transformers' or OpenCLIP's names
   * @throws {FormatError} if they do not fit the config
   */
  static async open(
    path: string,
    config: ClipConfig,
    options: ComputeOptions,
  ): Promise<ClipNetwork> {
    const file = await openWeightFile(path);
    const isOpenClip = file.entries.has("visual.conv1.weight");
    const table = await weightTable(file, (key) => key);
    const weights = Weights.of(isOpenClip ? openClipVisionTable(openClipTable(table)) : table);
    const graphs = clipGraphs(config, weights);
    weights.check(`CLIP of "${path}"`);
    const scale = toFloat32(await file.read("logit_scale")).data[0]!;
    return new ClipNetwork(config, scale, new GraphRunner(graphs, { ...options, lanes: 1 }));
  }

  /**
   * @param pixels f32 `[N, 3, S, S]`, S the config's image size
   * @returns f32 `[N, P]`, not normalised
   */
  async embedImages(pixels: F32Tensor): Promise<F32Tensor> {
    const [batch = 0] = pixels.shape;
    const { vision: { imageSize }, projectionDim } = this.config;
    checkTensor("pixels", pixels, "float32", [batch, 3, imageSize, imageSize]);
    const { outputs } = await this.#runner.run("clip_vision", { pixels }, {
      image_embeds: { dtype: "float32", shape: [batch, projectionDim] },
    });
    return outputs.image_embeds as F32Tensor;
  }

  /**
   * The state of each text's first end token, projected.
   *
   * @param ids one row per text, each of the config's length; what lies behind the end token changes nothing
   * @returns f32 `[N, P]`, not normalised
   */
  async embedTexts(ids: readonly (readonly number[])[]): Promise<F32Tensor> {
    const { text: { maxLength, hiddenSize, eosTokenId }, projectionDim } = this.config;
    const { outputs } = await this.#runner.run(
      "text_encoder",
      { input_ids: i64([ids.length, maxLength], ids.flat()) },
      { last_hidden_state: { dtype: "float32", shape: [ids.length, maxLength, hiddenSize] } },
    );
    const { data } = outputs.last_hidden_state as F32Tensor;
    const pooled = f32([ids.length, hiddenSize]);
    ids.forEach((row, i) => {
      const begin = (i * maxLength + Math.max(0, row.indexOf(eosTokenId))) * hiddenSize;
      pooled.data.set(data.subarray(begin, begin + hiddenSize), i * hiddenSize);
    });
    const projected = await this.#runner.run("text_projection", { pooled }, {
      text_embeds: { dtype: "float32", shape: [ids.length, projectionDim] },
    });
    return projected.outputs.text_embeds as F32Tensor;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}

/** All that a CLIP model is made of. */
export function clipGraphs(config: ClipConfig, weights: Weights): Graph[] {
  return [
    clipVisionGraph(config, weights),
    clipTextGraph(config.text, weights),
    textProjectionGraph(config.text, weights),
  ];
}

/** Input: `pixels` f32 `[B, 3, S, S]`. Output: `image_embeds` f32 `[B, P]`. */
function clipVisionGraph({ vision, projectionDim }: ClipConfig, weights: Weights): Graph {
  const { width, imageSize, patchSize, layers, layerNormEps: epsilon } = vision;
  const g = new GraphBuilder("clip_vision");
  const pixels = g.input("pixels", "float32", ["B", 3, imageSize, imageSize]);
  const tower = weights.scope("vision_model"), embeddings = tower.scope("embeddings");
  const patches = patchTokens(g, embeddings.scope("patch_embedding"), pixels, {
    ...{ width, patch: patchSize, bias: false },
  });
  const first = embeddings.tensor(g, "class_embedding", [width], { shape: [1, 1, width] });
  const count = Math.floor(imageSize / patchSize) ** 2 + 1;
  const positions = embeddings.tensor(g, "position_embedding.weight", [count, width]);
  let x = Add(g, prepend(g, first, patches), positions);
  x = layerNorm(g, tower.scope("pre_layrnorm"), x, epsilon);
  for (let i = 0; i < layers; i++) {
    x = preNormLayer(g, tower.scope("encoder", "layers", i), x, {
      ...{ keys: KEYS, heads: vision.heads, hidden: vision.hidden, epsilon },
      activation: vision.activation,
    });
  }
  const pooled = layerNorm(
    g,
    tower.scope("post_layernorm"),
    Reshape(g, Slice(g, x, 1, 0, 1), [0, width]),
    epsilon,
  );
  // OpenCLIP stores the matrix that is multiplied from the right, transformers its transpose.
  const embeds = weights.has("visual_projection")
    ? MatMul(g, pooled, weights.tensor(g, "visual_projection", [width, projectionDim]))
    : linear(g, weights.scope("visual_projection"), pooled, projectionDim, { bias: false });
  g.output("image_embeds", embeds);
  return g.build();
}
