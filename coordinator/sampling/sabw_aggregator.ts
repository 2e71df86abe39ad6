/**
 * SABW on the coordinator: reads a folder in the layout of the paper's code (`aggregator_{j}/config.json`,
 * `aggregator_{j}/aggregator.safetensors`, j in block order), checks it against the experts and runs it on a lane.
 *
 * @module
 */

import { basename, join, resolve } from "node:path";
import { readWeightTable } from "../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { FormatError } from "../../shared/errors.ts";
import type { BlockId, BlockSpec } from "../../shared/models/blocks.ts";
import { ConfigFields } from "../../shared/models/config/fields.ts";
import { parseSabwConfig, type SabwConfig } from "../../shared/models/config/sabw_config.ts";
import { sabwGraph } from "../../shared/models/sabw.ts";
import { Weights } from "../../shared/models/weights.ts";
import type { Graph } from "../../shared/onnx/graph.ts";
import { checkFinite } from "../../shared/tensor/check.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { ExpertDescription } from "../../shared/engine/expert.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "./aggregation.ts";

/** What the experts of an ensemble have in common, as far as SABW must fit it. */
export type SabwExperts =
  & Pick<ExpertDescription, "blocks" | "timeEmbedDim" | "crossAttentionDim">
  & { readonly numExperts: number };

export class SabwAggregator implements Aggregator {
  readonly name: string;
  readonly #runner: GraphRunner;

  private constructor(name: string, runner: GraphRunner) {
    this.name = name;
    this.#runner = runner;
  }

  /** @throws {FormatError} if the folder is damaged or was made for other experts */
  static async open(
    folder: string,
    experts: SabwExperts,
    options: ComputeOptions,
  ): Promise<SabwAggregator> {
    await checkAggregatorCount(folder, experts);
    const graphs: Graph[] = [];
    // One after another: what is wrong is reported for the first block that has it, and nothing is read after that.
    for (const [j, block] of experts.blocks.entries()) {
      graphs.push(await readAggregator(join(folder, `aggregator_${j}`), block, experts));
    }
    return new SabwAggregator(
      basename(resolve(folder)),
      new GraphRunner(graphs, { ...options, lanes: 1 }),
    );
  }

  async aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    { temb, encoderHiddenStates }: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const [batch, channels, height, width] = features[0]!.shape as [number, number, number, number];
    const inputs = Object.fromEntries(features.map((f, i) => [`features_${i}`, f]));
    const { outputs } = await this.#runner.run(
      graphName(block),
      { ...inputs, temb, encoder_hidden_states: encoderHiddenStates },
      {
        aggregated_features: into ?? { dtype: "float32", shape: [batch, channels, height, width] },
        attention_map: { dtype: "float32", shape: [batch, features.length, height, width] },
      },
    );
    const aggregatedFeatures = outputs.aggregated_features as F32Tensor;
    checkFinite(`Output of SABW ${block}`, aggregatedFeatures, { block });
    return { aggregatedFeatures, attentionMap: outputs.attention_map as F32Tensor };
  }

  close(): void {
    this.#runner[Symbol.dispose]();
  }
}

const graphName = (block: BlockId) => `sabw ${block}`;

async function readAggregator(
  folder: string,
  block: BlockSpec,
  experts: SabwExperts,
): Promise<Graph> {
  const config = parseSabwConfig(await ConfigFields.read(join(folder, "config.json")));
  checkFits(folder, config, block, experts);
  const weights = Weights.of(await readWeightTable(join(folder, "aggregator.safetensors")));
  const graph = sabwGraph(graphName(block.id), config, weights);
  weights.check(`SABW "${folder}"`);
  return graph;
}

/** A folder for fewer or more blocks belongs to another family of models. */
async function checkAggregatorCount(
  folder: string,
  { blocks, numExperts }: SabwExperts,
): Promise<void> {
  const fields = await ConfigFields.read(join(folder, "model_config.json"));
  const wanted = { num_aggregators: blocks.length, num_models: numExperts };
  for (const [key, value] of Object.entries(wanted)) {
    const current = fields.count(key);
    if (current !== value) {
      throw new FormatError(
        `SABW "${folder}": "${key}" must be ${value} for these experts: current value is ${current}`,
      );
    }
  }
}

function checkFits(
  folder: string,
  config: SabwConfig,
  block: BlockSpec,
  experts: SabwExperts,
): void {
  const wanted: readonly (readonly [string, number, number])[] = [
    ["in_channels", config.inChannels, block.outChannels],
    ["num_experts", config.numExperts, experts.numExperts],
    ["cross_attn_dim", config.crossAttentionDim, experts.crossAttentionDim],
    ["temb_channels", config.timeEmbedDim, experts.timeEmbedDim],
  ];
  for (const [key, current, expected] of wanted) {
    if (current !== expected) {
      throw new FormatError(
        `SABW "${folder}" was made for other experts: "${key}" must be ${expected} for ${block.id}: current value is ${current}`,
      );
    }
  }
}
