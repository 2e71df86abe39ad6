/**
 * SABW before training, as the paper's code begins: torch's default initialisation, and `conv_out` zero, so that every expert weighs
 * the same.
 *
 * @module
 */

import { toAligned } from "../../shared/lane/aligned_memory.ts";
import type { SabwConfig } from "../../shared/models/config/sabw_config.ts";
import { sabwParameters } from "../../shared/models/sabw_training.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { SabwExperts } from "../sampling/methods/sabw/sabw_folder.ts";
import { SeededDraws } from "./seeded_draws.ts";
import { torchDefault } from "./torch_defaults.ts";
import type { TrainableAggregator } from "./trainable_sabw.ts";

/** What a user may choose. The paper's are 128, 2 and 8 (`docs/spec.md`, "SABW"). */
export type SabwSize = Pick<
  SabwConfig,
  "hiddenSize" | "numLayers" | "numHeads" | "temperature" | "without"
>;

export const PAPER_SABW_SIZE: SabwSize = { hiddenSize: 128, numLayers: 2, numHeads: 8 };

/** Groups of a group norm, diffusers' default. */
const MOST_GROUPS = 32;
/** At least, as the paper's 32 of 128 have: alone in its group, a channel would lose what the timestep adds to it. */
const CHANNELS_PER_GROUP = 4;

/** @param seed of the weights */
export function initialSabw(
  { blocks, numExperts, timeEmbedDim, crossAttentionDim }: SabwExperts,
  size: SabwSize,
  seed: bigint,
): TrainableAggregator[] {
  return blocks.map(({ id: block, outChannels: inChannels }, j) => {
    const config: SabwConfig = {
      ...{ inChannels, numExperts, ...size, crossAttentionDim, timeEmbedDim },
      normNumGroups: groupsOf(size.hiddenSize),
    };
    const shapes = sabwParameters(config);
    const parameters = new Map([...shapes].map(([key, shape]) => {
      const draws = new SeededDraws(seed, ["initial", `aggregator_${j}.${key}`]);
      const value = key === "conv_out.weight" ? f32(shape) : torchDefault(key, shapes, draws);
      return [key, toAligned(value) as F32Tensor];
    }));
    return { block, config, parameters };
  });
}

function groupsOf(hiddenSize: number): number {
  let groups = Math.min(MOST_GROUPS, Math.max(1, Math.floor(hiddenSize / CHANNELS_PER_GROUP)));
  while (hiddenSize % groups !== 0) groups--;
  return groups;
}
