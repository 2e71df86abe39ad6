/**
 * The machine's best rate at large matrix products, through the same runtime and threads as a model: what the rate of a
 * model is held against. On a machine with other work it varies, so it is measured again and again and the best counts.
 *
 * @module
 */

import { Lane } from "../../shared/lane/lane.ts";
import type { LaneOptions } from "../../shared/lane/protocol.ts";
import { encodeModel } from "../../shared/onnx/encode.ts";
import { GraphBuilder } from "../../shared/onnx/graph.ts";
import { MatMul } from "../../shared/onnx/ops/linalg.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";

/** Large enough that nothing but the product counts, small enough for any machine: 17 GFLOP. */
export const MATRIX_SIZE = 2048;

export class MatrixRate implements AsyncDisposable {
  readonly #lane: Lane;
  readonly #left: F32Tensor;
  readonly #size: number;
  #bestMs = Infinity;

  private constructor(lane: Lane, left: F32Tensor, size: number) {
    this.#lane = lane;
    this.#left = left;
    this.#size = size;
  }

  /** @param size rows and columns of both matrices */
  static async open(options: LaneOptions, size = MATRIX_SIZE): Promise<MatrixRate> {
    const noise = new TorchCpuGenerator(0);
    const g = new GraphBuilder("product");
    const left = g.input("left", "float32", [size, size]);
    // A constant, as weights are: the runtime brings it into its own order once, at load.
    const right = g.constant(noise.randn([size, size]), "right");
    g.output("product", MatMul(g, left, right));
    const lane = new Lane(options);
    try {
      await lane.loadGraph("product", encodeModel(g.build()));
      return new MatrixRate(lane, noise.randn([size, size]), size);
    } catch (error) {
      await lane[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Multiplies `runs` times. */
  async measure(runs: number): Promise<void> {
    const shape = [this.#size, this.#size];
    for (let run = 0; run < runs; run++) {
      const { computeMs } = await this.#lane.run("product", { left: this.#left }, {
        product: { dtype: "float32", shape },
      });
      this.#bestMs = Math.min(this.#bestMs, computeMs);
    }
  }

  /** FLOP per second of the best run so far; 0 before the first. */
  get best(): number {
    return 2 * this.#size ** 3 / (this.#bestMs / 1000);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#lane[Symbol.asyncDispose]();
  }
}
