/**
 * Writes an untrained SABW for any experts, in the layout of the paper's code: random weights, or weights that see no
 * difference between the experts. For measuring and testing; what it draws means nothing.
 *
 * @module
 */

import type { SabwConfig } from "../../shared/models/config/sabw_config.ts";
import { f32, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";
import type { SabwExperts } from "../sampling/methods/sabw/sabw_folder.ts";
import { writeSabwFolder } from "../sampling/methods/sabw/write_sabw_folder.ts";
import { RandomValues } from "./random_values.ts";

export interface RandomSabwOptions extends SabwExperts {
  /** Width of the aggregators' layers; a multiple of heads and groups. @default 128, as the paper's */
  readonly hiddenSize?: number;
  /** Transformer blocks per aggregator. @default 2: what the paper's code makes of most blocks (`docs/spec.md`, "SABW") */
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
  const aggregators = blocks.map(({ outChannels }, j) => ({
    config: sabwConfig(outChannels, options),
    piecesOf: (key: string, shape: Shape) => piecesOf(`aggregator_${j}/${key}`, shape),
  }));
  await writeSabwFolder(folder, numExperts, aggregators);
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
