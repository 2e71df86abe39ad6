/** How the features of N experts become one, block by block. @module */

import type { BlockId } from "../../shared/models/blocks.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { GuidanceHalf } from "./guidance.ts";

/** What a row of features was made for: means over the experts, as SABW looks at them (`docs/spec.md`, "Conditioning"). */
export interface MeanConditioning {
  /** f32 `[B, Dt]` */
  readonly temb: F32Tensor;
  /** f32 `[B, L, D]`; one object for all steps, unchanged: what is computed of it is kept with it. */
  readonly encoderHiddenStates: F32Tensor;
}

/** What an aggregator looks at besides the features. */
export interface AggregationConditioning extends MeanConditioning {
  /** Which half of guidance each row belongs to, also where a wave holds some rows only. @default all conditional */
  readonly halves?: readonly GuidanceHalf[];
}

/**
 * `temb = 1/N sum_i temb_i` and `ctx = 1/N sum_i c_i`: SABW has neither time embedding nor text encoder of its own, so it is
 * conditioned on the mean of the experts' (the paper's official code).
 */
export function meanConditioning(experts: readonly MeanConditioning[]): MeanConditioning {
  return {
    temb: mean(experts.map(({ temb }) => temb)),
    encoderHiddenStates: mean(experts.map(({ encoderHiddenStates }) => encoderHiddenStates)),
  };
}

export interface Aggregation {
  /** f32 `[B, C, H, W]` */
  readonly aggregatedFeatures: F32Tensor;
  /** f32 `[B, N, H, W]`, sums to 1 over N; aggregators without weights per pixel have none. */
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
