/**
 * What the sampling loop asks of an ensembling method: which experts and blocks play in each evaluation, and how one
 * prediction of noise is made of theirs. A method works on features (`aggregator`: after every block that the plan names) or
 * on noise (`combineNoise()`: each expert runs whole, one round trip a step).
 *
 * @module
 */

import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Aggregator } from "../aggregation.ts";
import type { AggregatedBlocks, Segment } from "../aggregation_plan.ts";
import type { NoisePrediction } from "../guidance.ts";
import type { PredictionType } from "../prediction.ts";
import type { Evaluation } from "../samplers/sampler.ts";

/** Where in a run an evaluation is. */
export interface MethodStep extends Evaluation {
  /** Steps of the whole run. */
  readonly stepCount: number;
}

export interface StepPlan {
  /** Which are asked, by index in the ensemble's order. */
  readonly experts: readonly number[];
  /** Ranges of blocks that run without a round trip; features are aggregated after each. */
  readonly segments: readonly Segment[];
}

/** What `combineNoise()` knows besides the predictions. */
export interface NoiseContext extends MethodStep {
  readonly guidanceScale: number;
  /** What the U-Nets were given, f32 `[B, 4, H, W]`. */
  readonly latentModelInput: F32Tensor;
  /** Of a method that has a memory. */
  readonly memory?: MethodMemory | undefined;
}

/** What a method remembers from evaluation to evaluation, by name; each tensor has a row for each image. */
export type MethodMemory = Readonly<Record<string, F32Tensor>>;

/** Where a run is, as the U-Nets see it. */
export interface NoisyLatents {
  readonly sigma: number;
  /** f32 `[B, 4, H, W]` */
  readonly latentModelInput: F32Tensor;
}

/** What the sampler has made of an evaluation. */
export interface TakenStep {
  /** Of the experts that were asked, in the plan's order. */
  readonly predictions: readonly NoisePrediction[];
  readonly predictionType: PredictionType;
  /** What was evaluated. */
  readonly from: NoisyLatents;
  /** What will be evaluated next. */
  readonly to: NoisyLatents;
  readonly memory: MethodMemory;
}

export interface EnsemblingMethod {
  /** As users write it: `afa`, `magicfusion`. */
  readonly name: string;
  /** What else than experts and settings its bits follow from, by name; for checkpoints. */
  readonly conditions: Readonly<Record<string, string>>;
  plan(step: MethodStep): StepPlan;
  /** Which experts any plan asks, by index. @default all */
  readonly asked?: readonly number[];
  /** Which blocks it aggregates, where that is one choice for the whole run. */
  readonly aggregatedBlocks?: AggregatedBlocks;
  /** Whether it looks at the unconditional half also in steps in which guidance is off. @default false */
  readonly needsBothHalves?: boolean;
  /** Makes one feature map of the experts'. Not needed where one expert is asked. */
  readonly aggregator?: Aggregator;
  /**
   * Makes one prediction of the experts', half by half; guidance follows.
   *
   * @param predictions of the experts that were asked, in the plan's order
   */
  combineNoise?(predictions: readonly NoisePrediction[], context: NoiseContext): NoisePrediction;
  /** What it must know of the run so far; checkpoints keep it beside the sampler's state. Needs `combineNoise()`. */
  readonly memory?: {
    /** Before the first evaluation. */
    begin(images: number): MethodMemory;
    /** After an evaluation that is not the last; changes nothing that it is given. */
    after(step: TakenStep): MethodMemory;
  };
}
