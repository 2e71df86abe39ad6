/**
 * SABW with weights that change: it aggregates as `SabwAggregator` does, and gives the gradients of features and weights. The weights
 * are tensors in memory, written in place by whoever trains them.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import { GraphRunner } from "../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { TuttiError } from "../../shared/errors.ts";
import { toAligned } from "../../shared/lane/aligned_memory.ts";
import type { OutputTypes } from "../../shared/lane/lane.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import type { SabwConfig } from "../../shared/models/config/sabw_config.ts";
import { sabwGraph } from "../../shared/models/sabw.ts";
import { sabwVjpGraph, trainableSabwGraph } from "../../shared/models/sabw_training.ts";
import { Weights } from "../../shared/models/weights.ts";
import { gradientName } from "../../shared/onnx/vjp.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { checkFinite } from "../../shared/tensor/check.ts";
import { f32, type F32Tensor, toFloat32 } from "../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "../sampling/aggregation.ts";
import {
  type AggregatorFiles,
  readSabwFolder,
  type SabwExperts,
} from "../sampling/methods/sabw/sabw_folder.ts";
import type { AggregationGradients, DifferentiableAggregator } from "./ensemble_backward.ts";

/** One block's aggregator. */
export interface TrainableAggregator {
  readonly block: BlockId;
  readonly config: SabwConfig;
  /** By key; a run reads them as they are then. */
  readonly parameters: ReadonlyMap<string, F32Tensor>;
}

export class TrainableSabw implements Aggregator, DifferentiableAggregator {
  readonly name: string;
  readonly #aggregators: ReadonlyMap<BlockId, TrainableAggregator>;
  readonly #runner: GraphRunner;

  constructor(name: string, aggregators: readonly TrainableAggregator[], options: ComputeOptions) {
    this.name = name;
    this.#aggregators = new Map(aggregators.map((aggregator) => [aggregator.block, aggregator]));
    this.#runner = new GraphRunner([], { ...options, lanes: 1 });
  }

  /** @throws {FormatError} if the folder is damaged or was made for other experts */
  static async open(
    folder: string,
    experts: SabwExperts,
    options: ComputeOptions,
  ): Promise<TrainableSabw> {
    const aggregators = await readSabwFolder(folder, experts, readParameters);
    return new TrainableSabw(basename(resolve(folder)), aggregators, options);
  }

  /** In block order. */
  get aggregators(): readonly TrainableAggregator[] {
    return [...this.#aggregators.values()];
  }

  /** The weights themselves, not a copy, by block and key. */
  get parameters(): ReadonlyMap<BlockId, ReadonlyMap<string, F32Tensor>> {
    return new Map([...this.#aggregators].map(([block, { parameters }]) => [block, parameters]));
  }

  async aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const { config, parameters } = this.#aggregator(block);
    const graph = `sabw ${block}`;
    this.#runner.add(graph, () => trainableSabwGraph(graph, config));
    const [batch, channels, height, width] = features[0]!.shape as [number, number, number, number];
    const { outputs } = await this.#runner.run(
      graph,
      inputsOf(features, conditioning, parameters),
      {
        aggregated_features: into ?? { dtype: "float32", shape: [batch, channels, height, width] },
        attention_map: { dtype: "float32", shape: [batch, features.length, height, width] },
      },
    );
    const aggregatedFeatures = outputs.aggregated_features as F32Tensor;
    checkFinite(`Output of SABW ${block}`, aggregatedFeatures, { block });
    return { aggregatedFeatures, attentionMap: outputs.attention_map as F32Tensor };
  }

  /**
   * @param gradAttentionMap f32 `[B, N, h, w]`, for a loss that looks at the map itself; without it, zeros
   */
  async backward(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    gradAggregated: F32Tensor,
    gradAttentionMap?: F32Tensor,
  ): Promise<AggregationGradients> {
    const { config, parameters } = this.#aggregator(block);
    const graph = `sabw ${block} vjp`;
    this.#runner.add(graph, () => sabwVjpGraph(`sabw ${block}`, config));
    const [batch, , height, width] = gradAggregated.shape as [number, number, number, number];
    const wanted: readonly (readonly [string, F32Tensor])[] = [
      ...features.map((feature, i) => [`features_${i}`, feature] as const),
      ...parameters,
    ];
    const types: OutputTypes = Object.fromEntries(
      wanted.map(([name, { shape }]) => [gradientName(name), { dtype: "float32", shape }]),
    );
    const { outputs } = await this.#runner.run(graph, {
      ...inputsOf(features, conditioning, parameters),
      grad_aggregated_features: gradAggregated,
      grad_attention_map: gradAttentionMap ?? f32([batch, features.length, height, width]),
    }, types);
    for (const [name, gradient] of Object.entries(outputs)) {
      checkFinite(`${name} of SABW ${block}`, gradient as F32Tensor, { block });
    }
    const gradient = (name: string) => outputs[gradientName(name)] as F32Tensor;
    return {
      gradFeatures: features.map((_, i) => gradient(`features_${i}`)),
      gradParameters: new Map([...parameters.keys()].map((key) => [key, gradient(key)])),
    };
  }

  close(): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }

  #aggregator(block: BlockId): TrainableAggregator {
    const aggregator = this.#aggregators.get(block);
    if (aggregator) return aggregator;
    throw new TuttiError("NOT_FOUND", `SABW "${this.name}" has no aggregator for ${block}`);
  }
}

function inputsOf(
  features: readonly F32Tensor[],
  { temb, encoderHiddenStates }: AggregationConditioning,
  parameters: ReadonlyMap<string, F32Tensor>,
): Record<string, F32Tensor> {
  return {
    ...Object.fromEntries(features.map((feature, i) => [`features_${i}`, feature])),
    temb,
    encoder_hidden_states: encoderHiddenStates,
    ...Object.fromEntries(parameters),
  };
}

/** Every weight as f32, at an address that no run has to copy it from. */
async function readParameters(
  { block, config, table, where }: AggregatorFiles,
): Promise<TrainableAggregator> {
  const weights = Weights.of(table);
  sabwGraph("sabw", config, weights);
  weights.check(where);
  const [path] = new Set([...table.values()].map((location) => location.path));
  const tensors = await (await SafetensorsFile.open(path!)).readMany(weights.demanded.keys());
  const parameters = new Map(
    [...tensors].map(([key, tensor]) => [key, toAligned(toFloat32(tensor)) as F32Tensor]),
  );
  return { block: block.id, config, parameters };
}
