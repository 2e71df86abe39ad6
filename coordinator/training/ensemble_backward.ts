/**
 * The way back through one forward pass of the ensemble (`docs/spec.md`, "Training"): for each segment, from the last to the first, SABW's gradient
 * first, then that of every expert's blocks. Experts got the same input, so their gradients of it add up; so do those of a skip,
 * where the block that made it meets them.
 *
 * Pure orchestration: where an expert's gradients come from (this process, a worker) is behind `ExpertBackward`.
 *
 * @module
 */

import { ShapeError, throwIfAborted } from "../../shared/errors.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { AggregationConditioning } from "../sampling/aggregation.ts";
import type { Segment } from "../sampling/aggregation_plan.ts";
import { sideBySide } from "../sampling/side_by_side.ts";

/** What a forward pass leaves behind of one segment. */
export interface TapeEntry extends Segment {
  /** Input of `first`, the same for all experts, f32 `[B, C, h, w]`. */
  readonly hiddenStates: F32Tensor;
  /** Each expert's output of `last`, f32 `[B, M, h', w']`. */
  readonly features: readonly F32Tensor[];
}

/** A range of blocks whose forward pass lies behind. */
export interface BackwardRange extends Segment {
  /** Gradient of the output of `last`, f32 `[B, M, h', w']`. */
  readonly gradOutput: F32Tensor;
}

export interface RangeGradients {
  /** Of the input of `first`. */
  readonly gradHiddenStates: F32Tensor;
  /**
   * Of the skips that came from before the range as aggregated features, by the block that made them. Other skips stayed with
   * the expert, which adds their gradients up itself.
   */
  readonly gradResiduals: ReadonlyMap<BlockId, F32Tensor>;
}

/** One expert's blocks, differentiated at the inputs of one forward pass. */
export interface ExpertBackward {
  backward(range: BackwardRange, signal?: AbortSignal): Promise<RangeGradients>;
}

export interface AggregationGradients {
  /** Per expert, f32 `[B, C, h, w]`. */
  readonly gradFeatures: readonly F32Tensor[];
  /** By key of the aggregator's weights. */
  readonly gradParameters: ReadonlyMap<string, F32Tensor>;
}

export interface DifferentiableAggregator {
  /**
   * @param gradAggregated gradient of the aggregated features, f32 `[B, C, h, w]`
   */
  backward(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    gradAggregated: F32Tensor,
  ): Promise<AggregationGradients>;
}

export interface EnsembleBackward {
  readonly experts: readonly ExpertBackward[];
  readonly aggregator: DifferentiableAggregator;
  readonly conditioning: AggregationConditioning;
  /** Of all segments, in the order they ran. */
  readonly tape: readonly TapeEntry[];
  /** Gradient of the aggregated noise, f32 `[B, 4, H, W]`. */
  readonly gradNoise: F32Tensor;
  readonly signal?: AbortSignal;
}

export interface EnsembleGradients {
  /** Of the latents, f32 `[B, 4, H, W]`. */
  readonly gradLatents: F32Tensor;
  /** Of the aggregators' weights, by block and key. */
  readonly gradParameters: ReadonlyMap<BlockId, ReadonlyMap<string, F32Tensor>>;
}

/** @throws {TuttiError} what the first expert that failed threw */
export async function ensembleBackward(pass: EnsembleBackward): Promise<EnsembleGradients> {
  const { experts, aggregator, conditioning, tape, signal } = pass;
  if (tape.length === 0) throw new ShapeError("A way back needs a tape of at least one segment");
  const gradParameters = new Map<BlockId, ReadonlyMap<string, F32Tensor>>();
  /** Gradients of aggregated features as skips: all experts took the same. */
  const skips = new Gradients();
  let gradAggregated = pass.gradNoise;
  for (const { first, last, features } of tape.toReversed()) {
    throwIfAborted(signal);
    const aggregation = await aggregator.backward(
      last,
      features,
      conditioning,
      skips.takeWith(last, gradAggregated),
    );
    gradParameters.set(last, aggregation.gradParameters);
    const results = await sideBySide(experts, (expert, either, i) => {
      const gradOutput = aggregation.gradFeatures[i]!;
      return expert.backward({ first, last, gradOutput }, either);
    }, signal);
    for (const { gradResiduals } of results) {
      for (const [block, gradient] of gradResiduals) skips.add(block, gradient);
    }
    gradAggregated = sum(results.map(({ gradHiddenStates }) => gradHiddenStates));
  }
  return { gradLatents: gradAggregated, gradParameters };
}

/** Gradients that wait, by block, for the walk to come to that block. */
export class Gradients {
  readonly #terms = new Map<BlockId, F32Tensor[]>();

  add(block: BlockId, gradient: F32Tensor): void {
    const terms = this.#terms.get(block);
    if (terms) terms.push(gradient);
    else this.#terms.set(block, [gradient]);
  }

  /** What waits for the block and one more, summed. */
  takeWith(block: BlockId, gradient: F32Tensor): F32Tensor {
    const terms = this.#terms.get(block) ?? [];
    this.#terms.delete(block);
    return sum([gradient, ...terms]);
  }
}

/** In f64, rounded once; the order is fixed, so the bits are. */
function sum(terms: readonly F32Tensor[]): F32Tensor {
  return terms.length === 1 ? terms[0]! : lincomb(terms.map((term) => [1, term] as const));
}
