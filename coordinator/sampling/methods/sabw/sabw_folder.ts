/**
 * A folder of SABW weights in the layout of the paper's code (`model_config.json`, `aggregator_{j}/config.json`,
 * `aggregator_{j}/aggregator.safetensors`, j in block order), checked against the experts that it is for.
 *
 * @module
 */

import { join } from "node:path";
import { modelHash } from "../../../../shared/checkpoint/model_hash.ts";
import { readWeightTable } from "../../../../shared/checkpoint/weight_files.ts";
import type { ExpertDescription } from "../../../../shared/engine/expert.ts";
import { FormatError } from "../../../../shared/errors.ts";
import type { BlockSpec } from "../../../../shared/models/blocks.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { parseSabwConfig, type SabwConfig } from "../../../../shared/models/config/sabw_config.ts";
import type { WeightTable } from "../../../../shared/models/weights.ts";

/** What the experts of an ensemble have in common, as far as SABW must fit it. */
export type SabwExperts =
  & Pick<ExpertDescription, "blocks" | "timeEmbedDim" | "crossAttentionDim">
  & { readonly numExperts: number };

/** The aggregator of one block. */
export interface AggregatorFiles {
  readonly block: BlockSpec;
  readonly config: SabwConfig;
  readonly table: WeightTable;
  /** For messages. */
  readonly where: string;
}

/**
 * Reads one aggregator after another, so what is wrong is reported for the first block that has it, and nothing is read
 * after that.
 *
 * @throws {FormatError} if the folder is damaged or was made for other experts
 */
export async function readSabwFolder<T>(
  folder: string,
  experts: SabwExperts,
  use: (files: AggregatorFiles) => T | Promise<T>,
): Promise<T[]> {
  await checkAggregatorCount(folder, experts);
  const results: T[] = [];
  for (const [j, block] of experts.blocks.entries()) {
    const path = join(folder, `aggregator_${j}`);
    const config = parseSabwConfig(await ConfigFields.read(join(path, "config.json")));
    checkFits(path, config, block, experts);
    const table = await readWeightTable(join(path, "aggregator.safetensors"));
    results.push(await use({ block, config, table, where: `SABW "${path}"` }));
  }
  return results;
}

/** One hash for the weights of all aggregators. */
export function sabwHash(folder: string, blocks: readonly BlockSpec[]): Promise<string> {
  return modelHash(blocks.map((_, j) => join(folder, `aggregator_${j}`, "aggregator.safetensors")));
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
