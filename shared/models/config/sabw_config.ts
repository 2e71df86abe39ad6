/** One aggregator's `config.json`, in the layout of the paper's code plus `norm_num_groups`. @module */

import { FormatError } from "../../errors.ts";
import type { ConfigFields } from "./fields.ts";

/** What an aggregator can be made blind to, to tell what it is worth (the paper's Table 3). */
export const ABLATIONS = ["space", "timestep", "text"] as const;
export type Ablation = typeof ABLATIONS[number];

export interface SabwConfig {
  /** C of the block's features. */
  readonly inChannels: number;
  /** N, experts in model-major order. */
  readonly numExperts: number;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numLayers: number;
  readonly crossAttentionDim: number;
  readonly timeEmbedDim: number;
  readonly normNumGroups: number;
  /** What the logits are divided by before softmax: above 0. @default 1 */
  readonly temperature?: number;
  /** Without `space` all pixels have the same weights. @default it sees all */
  readonly without?: readonly Ablation[];
}

/** @throws {FormatError} on a missing or impossible field */
export function parseSabwConfig(fields: ConfigFields): SabwConfig {
  const without = ABLATIONS.filter((ablation) => !fields.boolean(`sees_${ablation}`, true));
  const temperature = fields.number("temperature", 1);
  if (temperature <= 0) {
    throw new FormatError(
      `Config "${fields.path}": "temperature" must be above 0: current value is ${temperature}`,
    );
  }
  const config: SabwConfig = {
    inChannels: fields.count("in_channels"),
    numExperts: fields.count("num_experts"),
    hiddenSize: fields.count("hidden_size"),
    numHeads: fields.count("num_attn_heads"),
    numLayers: fields.count("num_layers"),
    crossAttentionDim: fields.count("cross_attn_dim"),
    timeEmbedDim: fields.count("temb_channels"),
    normNumGroups: fields.count("norm_num_groups", 32),
    ...(temperature !== 1 && { temperature }),
    ...(without.length > 0 && { without }),
  };
  for (
    const [key, divisor] of [["num_attn_heads", config.numHeads], [
      "norm_num_groups",
      config.normNumGroups,
    ]] as const
  ) {
    if (config.hiddenSize % divisor !== 0) {
      throw new FormatError(
        `Config "${fields.path}": "${key}" must divide the hidden size ${config.hiddenSize}: current value is ${divisor}`,
      );
    }
  }
  return config;
}

/** What `parseSabwConfig()` reads. */
export function sabwConfigJson(config: SabwConfig): Readonly<Record<string, number | boolean>> {
  return {
    in_channels: config.inChannels,
    num_experts: config.numExperts,
    cross_attn_dim: config.crossAttentionDim,
    temb_channels: config.timeEmbedDim,
    hidden_size: config.hiddenSize,
    num_attn_heads: config.numHeads,
    num_layers: config.numLayers,
    norm_num_groups: config.normNumGroups,
    // The paper's code knows no such keys.
    ...(config.temperature !== undefined && { temperature: config.temperature }),
    ...Object.fromEntries(config.without?.map((ablation) => [`sees_${ablation}`, false]) ?? []),
  };
}
