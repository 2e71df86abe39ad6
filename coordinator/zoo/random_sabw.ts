/**
 * Writes an untrained SABW for any experts, in the layout of the paper's code: random weights, or weights that see no
 * difference between the experts. For measuring and testing; what it draws means nothing.
 *
 * @module
 */

import { join } from "node:path";
import type { SabwConfig } from "../../shared/models/config/sabw_config.ts";
import { sabwParameters } from "../../shared/models/parameters.ts";
import { streamSafetensors } from "../../shared/safetensors/writer.ts";
import { f32, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";
import type { SabwExperts } from "../sampling/sabw_folder.ts";
import { RandomValues } from "./random_values.ts";

export interface RandomSabwOptions extends SabwExperts {
  /** Width of the aggregators' layers; a multiple of heads and groups. @default 128, as the paper's */
  readonly hiddenSize?: number;
  /** Transformer blocks per aggregator. @default 2: what the paper's code makes of most blocks (SPEC 1.2) */
  readonly numLayers?: number;
  /** @default 8 */
  readonly numHeads?: number;
  /** @default 32 */
  readonly normNumGroups?: number;
  /** Whether the attention logits are 0, so that every expert weighs the same. @default false */
  readonly isUniform?: boolean;
  readonly seed?: bigint;
}

/** Written below a folder that is made if it does not exist. */
export async function writeRandomSabw(folder: string, options: RandomSabwOptions): Promise<void> {
  const { blocks, numExperts, isUniform = false, seed = 0n } = options;
  const values = new RandomValues(seed, "float32");
  const piecesOf = (key: string, shape: Shape): Iterable<Tensor> =>
    isUniform && key.endsWith("conv_out.weight") ? [f32(shape)] : values.pieces(key, shape);
  await writeJson(join(folder, "model_config.json"), {
    num_models: numExperts,
    num_aggregators: blocks.length,
  });
  for (const [j, { outChannels }] of blocks.entries()) {
    const name = `aggregator_${j}`;
    const config = sabwConfig(outChannels, options);
    await writeJson(join(folder, name, "config.json"), configJson(config));
    const specs = [...sabwParameters(config)]
      .map(([key, shape]) => ({ name: key, dtype: "float32" as const, shape }));
    await streamSafetensors(
      join(folder, name, "aggregator.safetensors"),
      specs,
      ({ name: key, shape }) => piecesOf(`${name}/${key}`, shape),
    );
  }
}

function sabwConfig(
  inChannels: number,
  { numExperts, timeEmbedDim, crossAttentionDim, ...options }: RandomSabwOptions,
): SabwConfig {
  const { hiddenSize = 128, numLayers = 2, numHeads = 8, normNumGroups = 32 } = options;
  return {
    ...{ inChannels, numExperts, hiddenSize, numHeads, numLayers },
    ...{ crossAttentionDim, timeEmbedDim, normNumGroups },
  };
}

function configJson(config: SabwConfig): Record<string, number> {
  return {
    in_channels: config.inChannels,
    num_experts: config.numExperts,
    cross_attn_dim: config.crossAttentionDim,
    temb_channels: config.timeEmbedDim,
    hidden_size: config.hiddenSize,
    num_attn_heads: config.numHeads,
    num_layers: config.numLayers,
    norm_num_groups: config.normNumGroups,
  };
}

async function writeJson(path: string, json: unknown): Promise<void> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(json));
}
