/** DINOv2 (Oquab et al. 2023) in the published names: features of pictures that were learned without any caption. @module */

import { weightTable } from "../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { ShapeError } from "../../../shared/errors.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { layerNorm } from "../../../shared/models/layers/norm.ts";
import { Weights, type WeightTable } from "../../../shared/models/weights.ts";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { f32, type F32Tensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { openWeightFile } from "../../../shared/weight_file/open_weight_file.ts";
import { applyTaps, bicubicTaps } from "../../image/resample.ts";
import { patchTokens, preNormLayer, prepend } from "./vision_transformer.ts";

export interface Dinov2Config {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly hidden: number;
  readonly patchSize: number;
  readonly layerNormEps: number;
}

/** @throws {FormatError} naming file and field */
export async function readDinov2Config(path: string): Promise<Dinov2Config> {
  const fields = await ConfigFields.read(path);
  // DINOv2 giant's.
  fields.mustBe("use_swiglu_ffn", false);
  fields.mustBe("hidden_act", "gelu");
  const width = fields.count("hidden_size");
  return {
    width,
    layers: fields.count("num_hidden_layers"),
    heads: fields.count("num_attention_heads"),
    hidden: Math.trunc(width * fields.number("mlp_ratio", 4)),
    patchSize: fields.count("patch_size", 14),
    layerNormEps: fields.number("layer_norm_eps", 1e-6),
  };
}

const KEYS = {
  norm1: "norm1",
  attention: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
  out: "attention.output.dense",
  norm2: "norm2",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
  scales: ["layer_scale1.lambda1", "layer_scale2.lambda1"],
} as const;

/** Tables that are made here for each size of picture, and a token that stands for what was hidden in training. */
const NOT_IN_GRAPH = /^embeddings\.(position_embeddings|mask_token)$/;

export class Dinov2Network implements AsyncDisposable {
  readonly config: Dinov2Config;
  readonly #table: WeightTable;
  readonly #positions: F32Tensor;
  readonly #options: ComputeOptions;
  readonly #path: string;
  /** By rows and columns of patches. */
  readonly #runners = new Map<string, GraphRunner>();

  private constructor(
    path: string,
    config: Dinov2Config,
    { table, positions }: { readonly table: WeightTable; readonly positions: F32Tensor },
    options: ComputeOptions,
  ) {
    this.#path = path;
    this.config = config;
    this.#table = table;
    this.#positions = positions;
    this.#options = options;
  }

  /** @throws {FormatError} if the file cannot be read or has no table of positions */
  static async open(
    path: string,
    config: Dinov2Config,
    options: ComputeOptions,
  ): Promise<Dinov2Network> {
    const file = await openWeightFile(path);
    const table = await weightTable(file, (key) => NOT_IN_GRAPH.test(key) ? undefined : key);
    const positions = toFloat32(await file.read("embeddings.position_embeddings"));
    return new Dinov2Network(path, config, { table, positions }, options);
  }

  /**
   * States of the class token and of every patch after the final norm.
   *
   * @param pixels f32 `[N, 3, H, W]`, of whole patches
   * @returns f32 `[N, 1 + patches, D]`
   * @throws {FormatError} if the weights do not fit the config
   */
  async hiddenStates(pixels: F32Tensor): Promise<F32Tensor> {
    const [batch = 0, , height = 0, width = 0] = pixels.shape;
    const { patchSize, width: features } = this.config;
    if (height % patchSize !== 0 || width % patchSize !== 0) {
      throw new ShapeError(
        `Pictures must be of whole patches of ${patchSize} pixels: current size is ${width}x${height}`,
      );
    }
    const [rows, columns] = [height / patchSize, width / patchSize];
    const { outputs } = await this.#runnerOf(rows, columns).run("dinov2", { pixels }, {
      last_hidden_state: { dtype: "float32", shape: [batch, 1 + rows * columns, features] },
    });
    return outputs.last_hidden_state as F32Tensor;
  }

  /** The class token's states, f32 `[N, D]`: what FD-DINOv2 compares. */
  async features(pixels: F32Tensor): Promise<F32Tensor> {
    return firstTokens(await this.hiddenStates(pixels));
  }

  #runnerOf(rows: number, columns: number): GraphRunner {
    const key = `${rows} ${columns}`;
    let runner = this.#runners.get(key);
    if (runner) return runner;
    const weights = Weights.of(this.#table);
    const positions = positionTable(this.#positions, rows, columns);
    const graph = dinov2Graph(this.config, weights, positions, [rows, columns]);
    weights.check(`DINOv2 of "${this.#path}"`);
    runner = new GraphRunner([graph], { ...this.#options, lanes: 1 });
    this.#runners.set(key, runner);
    return runner;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#runners.values()].map((one) => one[Symbol.asyncDispose]()));
  }
}

/** The first token of each row, f32 `[N, D]`. */
export function firstTokens({ shape: [n = 0, tokens = 0, d = 0], data }: F32Tensor): F32Tensor {
  const first = f32([n, d]);
  for (let i = 0; i < n; i++) {
    first.data.set(data.subarray(i * tokens * d, i * tokens * d + d), i * d);
  }
  return first;
}

/**
 * The table of positions for another grid of patches: bicubic, without antialiasing, the class token's as it is.
 *
 * @param table f32 `[1, 1 + n n, D]`
 * @param offset added to rows and columns where the scale is reckoned: torch-hub's code adds 0.1, transformers nothing
 * @returns f32 `[1, 1 + rows columns, D]`
 */
export function positionTable(
  table: F32Tensor,
  rows: number,
  columns: number,
  offset = 0,
): F32Tensor {
  const [, count = 0, d = 0] = table.shape;
  const n = Math.round(Math.sqrt(count - 1));
  if (rows === n && columns === n) return table;
  const patches = applyTaps(table.data.subarray(d), { width: n, channels: d }, {
    rows: bicubicTaps(n, rows, n / (rows + offset)),
    columns: bicubicTaps(n, columns, n / (columns + offset)),
  });
  const resized = f32([1, 1 + rows * columns, d]);
  resized.data.set(table.data.subarray(0, d));
  resized.data.set(patches, d);
  return resized;
}

function dinov2Graph(
  { width, layers, heads, hidden, patchSize, layerNormEps: epsilon }: Dinov2Config,
  weights: Weights,
  positions: F32Tensor,
  [rows, columns]: readonly [number, number],
): Graph {
  const g = new GraphBuilder("dinov2");
  const size = [rows * patchSize, columns * patchSize];
  const pixels = g.input("pixels", "float32", ["B", 3, ...size]);
  const embeddings = weights.scope("embeddings");
  const patches = patchTokens(g, embeddings.scope("patch_embeddings", "projection"), pixels, {
    ...{ width, patch: patchSize },
  });
  const first = embeddings.tensor(g, "cls_token", [1, 1, width]);
  let x = Add(g, prepend(g, first, patches), g.constant(positions, "positions"));
  for (let i = 0; i < layers; i++) {
    x = preNormLayer(g, weights.scope("encoder", "layer", i), x, {
      ...{ keys: KEYS, heads, hidden, epsilon, activation: "gelu" },
    });
  }
  g.output("last_hidden_state", layerNorm(g, weights.scope("layernorm"), x, epsilon));
  return g.build();
}
