/** AES: LAION's improved aesthetic predictor, a stack of linear layers on CLIP ViT-L/14's embedding of a picture. @module */

import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { normalizedRows } from "../metrics/cosine.ts";
import { linearStack } from "./perceptron.ts";

export class AestheticHead implements AsyncDisposable {
  /** Of the embeddings that it scores. */
  readonly width: number;
  readonly #runner: GraphRunner;

  private constructor(width: number, runner: GraphRunner) {
    this.width = width;
    this.#runner = runner;
  }

  /** @throws {FormatError} if the file holds another stack */
  static async open(path: string, options: ComputeOptions): Promise<AestheticHead> {
    const table = await readWeightTable(path);
    const weights = Weights.of(table);
    const g = new GraphBuilder("aesthetic");
    const width = table.get("layers.0.weight")?.shape[1] ?? 768;
    const x = g.input("embeds", "float32", ["B", width]);
    g.output("scores", linearStack(g, weights, x, { table, prefix: "" }));
    weights.check(`Aesthetic predictor of "${path}"`);
    return new AestheticHead(width, new GraphRunner([g.build()], { ...options, lanes: 1 }));
  }

  /**
   * @param embeds f32 `[N, D]` of CLIP, not normalised
   * @returns about 1 to 10 for each picture
   */
  async scores(embeds: F32Tensor): Promise<number[]> {
    const [batch = 0] = embeds.shape;
    const unit = f32(embeds.shape, Float32Array.from(normalizedRows(embeds)));
    const { outputs } = await this.#runner.run("aesthetic", { embeds: unit }, {
      scores: { dtype: "float32", shape: [batch, 1] },
    });
    return [...(outputs.scores as F32Tensor).data];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}
