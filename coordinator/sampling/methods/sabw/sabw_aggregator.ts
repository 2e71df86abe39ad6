/**
 * SABW on the coordinator, its weights in place in their files: run on a lane, block by block. While it is trained it is
 * `training/trainable_sabw.ts`.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import { GraphRunner } from "../../../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../../../shared/engine/lower_graph.ts";
import type { BlockId } from "../../../../shared/models/blocks.ts";
import { sabwGraph, sabwTextGraph } from "../../../../shared/models/sabw.ts";
import { Weights, type WeightTable } from "../../../../shared/models/weights.ts";
import type { Graph } from "../../../../shared/onnx/graph.ts";
import { SafetensorsFile } from "../../../../shared/safetensors/reader.ts";
import { checkFinite } from "../../../../shared/tensor/check.ts";
import { mean } from "../../../../shared/tensor/lincomb.ts";
import { bytesOf, f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "../../aggregation.ts";
import { type AggregatorFiles, readSabwFolder, type SabwExperts } from "./sabw_folder.ts";
import { SabwText } from "./sabw_text.ts";

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
    const read = await readSabwFolder(
      folder,
      experts,
      async (files) => [files.block.id, await readAggregator(files)] as const,
    );
    return new SabwAggregator(basename(resolve(folder)), new Map(read), options);
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
  { block, config, table, where }: AggregatorFiles,
): Promise<BlockAggregator> {
  const weights = Weights.of(table);
  const name = `sabw ${block.id}`;
  const graph = sabwGraph(name, config, weights, "fused", "keys and values");
  const text = sabwTextGraph(`${name} text`, config, weights);
  weights.check(where);
  return { graph, text, isEven: config.numExperts === 1 || await isUntrained(table) };
}

/** `conv_out` is zero, as the paper's code initialises it. */
async function isUntrained(table: WeightTable): Promise<boolean> {
  const key = "conv_out.weight";
  const file = await SafetensorsFile.open(table.get(key)!.path);
  return bytesOf(await file.read(key)).every((byte) => byte === 0);
}
