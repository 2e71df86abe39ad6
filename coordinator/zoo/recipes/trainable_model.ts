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
  /** Of the last run of `addGradients()`, and what was added before it. */
  readonly gradients: FlatTensors;
  readonly #newest: FlatTensors;
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
    this.#newest = new FlatTensors(this.trained.shapes);
    this.#batch = lossGraph.outputs[0]!.shape[0] as number;
    this.#lossName = lossGraph.name;
    this.#runner = new GraphRunner([smallConvolutionsAsProducts(lossGraph)], {
      ...compute,
      lanes: 1,
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
   * Adds the gradient of `share` times each row's loss to `gradients`.
   *
   * @param isFirst whether it takes the place of what is there
   * @returns the loss of each row
   */
  async addGradients(inputs: LossInputs, share: number, isFirst: boolean): Promise<number[]> {
    this.#addGradient();
    const shape = [this.#batch, 1, 1, 1];
    const into = isFirst ? this.gradients : this.#newest;
    const { outputs } = await this.#runner.run(this.#gradientName, {
      ...this.#feeds(inputs, this.trained),
      grad_losses: f32(shape, new Float32Array(this.#batch).fill(share)),
    }, {
      losses: { dtype: "float32", shape },
      ...Object.fromEntries([...into.tensors].map(([key, tensor]) => [gradientName(key), tensor])),
    });
    if (!isFirst) {
      const [sum, more] = [this.gradients.data, this.#newest.data];
      for (let i = 0; i < sum.length; i++) sum[i]! += more[i]!;
    }
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
