/**
 * How the features of N experts become one. Two aggregators: the uniform mean (block-wise averaging, needs no
 * training) and SABW, one trained network per block (`shared/models/sabw.ts`).
 *
 * @module
 */

import type { BlockId } from "../../shared/models/blocks.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

/** What SABW looks at besides the features: means over the experts (`docs/spec.md`, "Conditioning"). */
export interface AggregationConditioning {
  /** f32 `[B, Dt]` */
  readonly temb: F32Tensor;
  /** f32 `[B, L, D]`; one object for all steps, unchanged: what is computed of it is kept with it. */
  readonly encoderHiddenStates: F32Tensor;
}

export interface Aggregation {
  /** f32 `[B, C, H, W]` */
  readonly aggregatedFeatures: F32Tensor;
  /** f32 `[B, N, H, W]`, sums to 1 over N; the uniform mean has none. */
  readonly attentionMap?: F32Tensor;
}

export interface Aggregator {
  /** For metadata and messages: `uniform`, or the folder's name. */
  readonly name: string;
  /**
   * @param features one tensor per expert, in expert order, f32 `[B, C, H, W]` each
   * @param into where the aggregated features are wanted; they may come elsewhere, such as in the only feature's memory
   */
  aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation>;
  /** Settles when nothing of it is left. */
  close(): Promise<void>;
}

/** `y = 1/N sum_i f_i`: what an untrained SABW computes, too. */
export class UniformAggregator implements Aggregator {
  readonly name = "uniform";

  aggregate(
    _block: BlockId,
    features: readonly F32Tensor[],
    _conditioning?: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    return Promise.resolve({ aggregatedFeatures: mean(features, into) });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
