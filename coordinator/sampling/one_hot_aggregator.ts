/**
 * All weight of a block on one expert, at every pixel and timestep. With the same expert everywhere the ensemble is that
 * expert alone, inside the same pipeline: the control that needs no training.
 *
 * @module
 */

import type { BlockId } from "../../shared/models/blocks.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "./aggregation.ts";

export class OneHotAggregator implements Aggregator {
  readonly name = "one-hot";
  readonly #choose: (block: BlockId) => number;

  /** @param choose index of the expert that a block takes */
  constructor(choose: (block: BlockId) => number) {
    this.#choose = choose;
  }

  aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    _conditioning?: AggregationConditioning,
  ): Promise<Aggregation> {
    return Promise.resolve({ aggregatedFeatures: features[this.#choose(block)]! });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
