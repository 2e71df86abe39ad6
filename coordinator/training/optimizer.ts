/** AdamW over all weights that a pass gave gradients of. Weights of blocks that are not aggregated stay as they are. @module */

import type { BlockId } from "../../shared/models/blocks.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { adamw, type AdamwOptions, type Moments, zeroMoments } from "./adamw.ts";

/** Tensors by block and key. */
export type BlockTensors = ReadonlyMap<BlockId, ReadonlyMap<string, F32Tensor>>;

export interface OptimizerState {
  /** Updates that were made. */
  readonly updates: number;
  /** By block and key; none where no update was made yet. */
  readonly moments: ReadonlyMap<BlockId, ReadonlyMap<string, Moments>>;
}

export const NO_UPDATES: OptimizerState = { updates: 0, moments: new Map() };

/** Writes the new weights in place of the old ones. */
export function updateWeights(
  parameters: BlockTensors,
  gradients: BlockTensors,
  state: OptimizerState,
  options: AdamwOptions,
): OptimizerState {
  const updates = state.updates + 1;
  const moments = new Map(state.moments);
  for (const [block, byKey] of gradients) {
    const ofBlock = new Map(state.moments.get(block));
    for (const [key, gradient] of byKey) {
      const parameter = parameters.get(block)!.get(key)!;
      const before = ofBlock.get(key) ?? zeroMoments(parameter);
      const next = adamw(parameter, gradient, before, updates, options);
      parameter.data.set(next.parameter.data);
      ofBlock.set(key, { first: next.first, second: next.second });
    }
    moments.set(block, ofBlock);
  }
  return { updates, moments };
}
