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
import { sabwGraph, sabwTextGraph } from "../../shared/models/sabw.ts";
import { Weights, type WeightTable } from "../../shared/models/weights.ts";
import type { Graph } from "../../shared/onnx/graph.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { checkFinite } from "../../shared/tensor/check.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import { bytesOf, f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { ExpertDescription } from "../../shared/engine/expert.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "./aggregation.ts";
import { SabwText } from "./sabw_text.ts";

/** What the experts of an ensemble have in common, as far as SABW must fit it. */
export type SabwExperts =
  & Pick<ExpertDescription, "blocks" | "timeEmbedDim" | "crossAttentionDim">
  & { readonly numExperts: number };

/** One block's network. */
interface BlockAggregator {
  readonly graph: Graph;
  /** The part of it that sees nothing but the text. */
  readonly text: Graph;
  /** Whether it gives each expert 1/N everywhere, whatever it sees. */
  readonly isEven: boolean;
}

export class SabwAggregator implements Aggregator {
  readonly name: string;
  readonly #blocks: ReadonlyMap<BlockId, BlockAggregator>;
  readonly #runner: GraphRunner;
  readonly #text: SabwText;

  private constructor(
    name: string,
    blocks: ReadonlyMap<BlockId, BlockAggregator>,
    options: ComputeOptions,
  ) {
    this.name = name;
    this.#blocks = blocks;
    const graphs = [...blocks.values()].flatMap(({ graph, text }) => [graph, text]);
    this.#runner = new GraphRunner(graphs, { ...options, lanes: 1 });
    this.#text = new SabwText(this.#runner);
  }

  /** @throws {FormatError} if the folder is damaged or was made for other experts */
  static async open(
    folder: string,
    experts: SabwExperts,
    options: ComputeOptions,
  ): Promise<SabwAggregator> {
    await checkAggregatorCount(folder, experts);
    const blocks = new Map<BlockId, BlockAggregator>();
    // One after another: what is wrong is reported for the first block that has it, and nothing is read after that.
    for (const [j, block] of experts.blocks.entries()) {
      blocks.set(block.id, await readAggregator(join(folder, `aggregator_${j}`), block, experts));
    }
    return new SabwAggregator(basename(resolve(folder)), blocks, options);
  }

  async aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const aggregator = this.#blocks.get(block)!;
    const aggregation = aggregator.isEven
      ? evenAggregation(features, into)
      : await this.#runNetwork(aggregator, features, conditioning, into);
    checkFinite(`Output of SABW ${block}`, aggregation.aggregatedFeatures, { block });
    return aggregation;
  }

  async #runNetwork(
    { graph, text }: BlockAggregator,
    features: readonly F32Tensor[],
    { temb, encoderHiddenStates }: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const [batch, channels, height, width] = features[0]!.shape as [number, number, number, number];
    const inputs = Object.fromEntries(features.map((f, i) => [`features_${i}`, f]));
    const { outputs } = await this.#runner.run(
      graph.name,
      { ...inputs, temb, ...await this.#text.inputs(text, encoderHiddenStates) },
      {
        aggregated_features: into ?? { dtype: "float32", shape: [batch, channels, height, width] },
        attention_map: { dtype: "float32", shape: [batch, features.length, height, width] },
      },
    );
    return {
      aggregatedFeatures: outputs.aggregated_features as F32Tensor,
      attentionMap: outputs.attention_map as F32Tensor,
    };
  }

  /** The network of a block, over keys and values of the text; none where the experts weigh the same whatever it would say. */
  graphOf(block: BlockId): Graph | undefined {
    const { graph, isEven } = this.#blocks.get(block)!;
    return isEven ? undefined : graph;
  }

  /** Ends the sessions, so that their profiles are written. The next call creates them anew. */
  async releaseGraphs(): Promise<void> {
    await this.#runner.releaseGraphs();
  }

  close(): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}

/** A = 1/N everywhere: the softmax over one expert, and over logits that are all zero. */
function evenAggregation(features: readonly F32Tensor[], into?: F32Tensor): Aggregation {
  const [batch, , height, width] = features[0]!.shape as [number, number, number, number];
  const attentionMap = f32([batch, features.length, height, width]);
  attentionMap.data.fill(1 / features.length);
  return { aggregatedFeatures: mean(features, into), attentionMap };
}

async function readAggregator(
  folder: string,
  block: BlockSpec,
  experts: SabwExperts,
): Promise<BlockAggregator> {
  const config = parseSabwConfig(await ConfigFields.read(join(folder, "config.json")));
  checkFits(folder, config, block, experts);
  const table = await readWeightTable(join(folder, "aggregator.safetensors"));
  const weights = Weights.of(table);
  const name = `sabw ${block.id}`;
  const graph = sabwGraph(name, config, weights, "fused", "keys and values");
  const text = sabwTextGraph(`${name} text`, config, weights);
  weights.check(`SABW "${folder}"`);
  return { graph, text, isEven: config.numExperts === 1 || await isUntrained(table) };
}

/** `conv_out` is zero, as the paper's code initialises it. */
async function isUntrained(table: WeightTable): Promise<boolean> {
  const key = "conv_out.weight";
  const file = await SafetensorsFile.open(table.get(key)!.path);
  return bytesOf(await file.read(key)).every((byte) => byte === 0);
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
