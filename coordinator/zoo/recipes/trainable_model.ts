/**
 * A model of which all weights can change: its loss, and the loss's gradient by the weights that are trained, each one run of a
 * graph. Weights lie in memory that the runtime reads in place.
 *
 * @module
 */

import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { lossGradientGraph } from "../../../shared/models/training/loss_gradient.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { smallConvolutionsAsProducts } from "../../../shared/onnx/small_convolutions.ts";
import { gradientName } from "../../../shared/onnx/vjp.ts";
import { f32, type F32Tensor, type Shape, type Tensor } from "../../../shared/tensor/tensor.ts";
import { FlatTensors } from "./flat_tensors.ts";

/** What a run of a loss graph takes besides weights, by input name. */
export type LossInputs = Readonly<Record<string, Tensor>>;

export interface TrainableModelOptions {
  /** With weights as inputs and the output `losses` `[B, 1, 1, 1]`. */
  readonly lossGraph: Graph;
  /** Names of its inputs that are no weights. */
  readonly dataInputs: readonly string[];
  /** Which weights stay as they are. @default none */
  readonly isFrozen?: (key: string) => boolean;
  readonly compute: ComputeOptions;
}

export class TrainableModel implements AsyncDisposable {
  /** Weights that are trained. */
  readonly trained: FlatTensors;
  readonly frozen: FlatTensors;
  /** What `addGradients()` added up. */
  readonly gradients: FlatTensors;
  /** Runs side by side, each on a core of its own: small operations do not gain from several. */
  readonly lanes: number;
  /** A run's gradients, by its place among those beside it. */
  readonly #parts: readonly FlatTensors[];
  readonly #batch: number;
  readonly #lossName: string;
  readonly #gradientName: string;
  readonly #runner: GraphRunner;

  constructor({ lossGraph, dataInputs, isFrozen = () => false, compute }: TrainableModelOptions) {
    const weights = lossGraph.inputs.filter(({ name }) => !dataInputs.includes(name));
    const shapesOf = (chosen: typeof weights) =>
      new Map(chosen.map(({ name, shape }) => [name, shape as Shape]));
    this.trained = new FlatTensors(shapesOf(weights.filter(({ name }) => !isFrozen(name))));
    this.frozen = new FlatTensors(shapesOf(weights.filter(({ name }) => isFrozen(name))));
    this.gradients = new FlatTensors(this.trained.shapes);
    this.lanes = compute.threads;
    this.#parts = Array.from({ length: this.lanes }, () => new FlatTensors(this.trained.shapes));
    this.#batch = lossGraph.outputs[0]!.shape[0] as number;
    this.#lossName = lossGraph.name;
    this.#runner = new GraphRunner([smallConvolutionsAsProducts(lossGraph)], {
      ...{ ...compute, threads: 1 },
      lanes: this.lanes,
    });
    const gradient = () => lossGradientGraph(lossGraph, [...this.trained.tensors.keys()]);
    this.#gradientName = `${lossGraph.name} gradient`;
    this.#addGradient = () => this.#runner.add(this.#gradientName, gradient);
  }

  /** Built when it is first wanted: a model that is only measured has none. */
  readonly #addGradient: () => void;

  /** Rows of a run. */
  get batch(): number {
    return this.#batch;
  }

  /**
   * The loss of each row.
   *
   * @param weights that stand for the trained ones. @default those
   */
  async losses(inputs: LossInputs, weights: FlatTensors = this.trained): Promise<number[]> {
    const losses = f32([this.#batch, 1, 1, 1]);
    const { outputs } = await this.#runner.run(this.#lossName, this.#feeds(inputs, weights), {
      losses: { dtype: "float32", shape: losses.shape },
    });
    return [...(outputs.losses as F32Tensor).data];
  }

  /**
   * Adds the gradients of `share` times each row's loss to `gradients`, in the order of the batches: how many run side by side
   * changes no bit.
   *
   * @param batches as many as there are lanes, or fewer
   * @param isFirst whether they take the place of what is there
   * @returns the loss of each row
   */
  async addGradients(
    batches: readonly LossInputs[],
    share: number,
    isFirst: boolean,
  ): Promise<number[]> {
    this.#addGradient();
    const targets = batches.map((_, i) => isFirst && i === 0 ? this.gradients : this.#parts[i]!);
    const losses = await Promise.all(
      batches.map((inputs, i) => this.#runGradient(inputs, share, targets[i]!)),
    );
    const sum = this.gradients.data;
    for (const { data } of targets) {
      if (data === sum) continue;
      for (let k = 0; k < sum.length; k++) sum[k]! += data[k]!;
    }
    return losses.flat();
  }

  async #runGradient(inputs: LossInputs, share: number, into: FlatTensors): Promise<number[]> {
    const shape = [this.#batch, 1, 1, 1];
    const { outputs } = await this.#runner.run(this.#gradientName, {
      ...this.#feeds(inputs, this.trained),
      grad_losses: f32(shape, new Float32Array(this.#batch).fill(share)),
    }, {
      losses: { dtype: "float32", shape },
      ...Object.fromEntries([...into.tensors].map(([key, tensor]) => [gradientName(key), tensor])),
    });
    return [...(outputs.losses as F32Tensor).data];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }

  #feeds(inputs: LossInputs, weights: FlatTensors): Record<string, Tensor> {
    return {
      ...inputs,
      ...Object.fromEntries(weights.tensors),
      ...Object.fromEntries(this.frozen.tensors),
    };
  }
}
