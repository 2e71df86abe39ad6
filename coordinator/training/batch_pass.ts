/**
 * Noisy latents through the ensemble, and the way back (SPEC 1.4). Each row has its own timestep.
 *
 * @module
 */

import type { DifferentiableExpert } from "../../shared/engine/backward.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import { concatRows, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import type { AggregationConditioning, Aggregator } from "../sampling/aggregation.ts";
import type { Segment } from "../sampling/aggregation_plan.ts";
import { addedCondOf } from "../sampling/conditioning.ts";
import { ensembleForward, type SegmentReport } from "../sampling/ensemble_forward.ts";
import type { PromptEmbeds } from "../sampling/prompt_embeds.ts";
import { type DifferentiableAggregator, ensembleBackward } from "./ensemble_backward.ts";
import { noiseLoss } from "./noise_loss.ts";
import { StatelessSession } from "./stateless_session.ts";
import { TapedExpert } from "./taped_expert.ts";
import { tapedForward } from "./taped_forward.ts";

/** Rows that go through the experts together. */
export interface NoisyBatch {
  /** x_t, f32 `[B, 4, H, W]`. */
  readonly latents: F32Tensor;
  /** What the experts are to predict, f32 `[B, 4, H, W]`. */
  readonly target: F32Tensor;
  /** One per row. */
  readonly timesteps: readonly number[];
  /** One per expert. */
  readonly embeds: readonly PromptEmbeds[];
  /** In pixels; SDXL is conditioned on it. */
  readonly imageSize: { readonly height: number; readonly width: number };
}

export interface ForwardEnsemble<E extends Expert = Expert, A extends Aggregator = Aggregator> {
  readonly experts: readonly E[];
  readonly aggregator: A;
  readonly plan: readonly Segment[];
}

/** What can be trained. */
export type TrainableEnsemble = ForwardEnsemble<
  DifferentiableExpert,
  Aggregator & DifferentiableAggregator
>;

export interface PassOptions {
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

/** What conditions one expert, a row per row of the batch. */
interface ExpertRows {
  readonly temb: F32Tensor;
  readonly encoderHiddenStates: F32Tensor;
}

/** @returns the mean of squares of each row (Eq. 12 is the mean over rows) */
export async function batchLosses(
  ensemble: ForwardEnsemble,
  batch: NoisyBatch,
  { onSegment, signal }: PassOptions = {},
): Promise<number[]> {
  const rows = await conditionRows(ensemble.experts, batch, signal);
  const noise = await ensembleForward({
    ...forwardOf(ensemble, batch, rows),
    ...(onSegment && { onSegment }),
    ...(signal && { signal }),
  });
  return batch.timesteps.map((_, b) =>
    noiseLoss(sliceRows(noise, b, b + 1), sliceRows(batch.target, b, b + 1)).loss
  );
}

export interface BatchGradients {
  /** Mean over the rows. */
  readonly loss: number;
  /** Of the aggregators' weights, by block and key. */
  readonly gradParameters: ReadonlyMap<BlockId, ReadonlyMap<string, F32Tensor>>;
}

/** @throws {TuttiError} DATA_LOSS naming the block where a value first was not finite */
export async function batchGradients(
  ensemble: TrainableEnsemble,
  batch: NoisyBatch,
  { onSegment, signal }: PassOptions = {},
): Promise<BatchGradients> {
  const { experts, aggregator } = ensemble;
  const rows = await conditionRows(experts, batch, signal);
  const pass = forwardOf(ensemble, batch, rows);
  const { noise, tape } = await tapedForward({
    ...pass,
    ...(onSegment && { onSegment }),
    ...(signal && { signal }),
  });
  const { loss, gradNoise } = noiseLoss(noise, batch.target);
  if (!Number.isFinite(loss)) {
    const block = ensemble.plan.at(-1)!.last;
    throw new TuttiError("DATA_LOSS", `Loss must be finite: current value is ${loss}`, {
      details: { block },
    });
  }
  const { gradParameters } = await ensembleBackward({
    experts: experts.map((expert, i) => new TapedExpert({ expert, ...rows[i]!, tape })),
    aggregator,
    conditioning: pass.conditioning,
    blocks: experts[0]!.description.blocks.map(({ id }) => id),
    tape,
    gradNoise,
    ...(signal && { signal }),
  });
  return { loss, gradParameters };
}

function forwardOf(
  { experts, aggregator, plan }: ForwardEnsemble,
  { latents }: NoisyBatch,
  rows: readonly ExpertRows[],
) {
  const [, , height, width] = latents.shape as [number, number, number, number];
  const sessions = experts.map((expert, i) =>
    new StatelessSession({ expert, ...rows[i]!, height, width })
  );
  const conditioning: AggregationConditioning = {
    temb: mean(rows.map(({ temb }) => temb)),
    encoderHiddenStates: mean(rows.map(({ encoderHiddenStates }) => encoderHiddenStates)),
  };
  return { sessions, plan, aggregator, conditioning, stepIndex: 0, latentModelInput: latents };
}

function conditionRows(
  experts: readonly Expert[],
  { timesteps, embeds, imageSize }: NoisyBatch,
  signal: AbortSignal | undefined,
): Promise<ExpertRows[]> {
  return Promise.all(experts.map(async (expert, i) => {
    const addedCond = addedCondOf(embeds[i]!, timesteps.length, imageSize);
    const all = await expert.embedTimesteps(timesteps, signal, addedCond);
    return {
      temb: addedCond ? ownRows(all, timesteps.length) : all,
      encoderHiddenStates: embeds[i]!.promptEmbeds,
    };
  }));
}

/** Of all rows at all timesteps, each row at its own. */
function ownRows(temb: F32Tensor, count: number): F32Tensor {
  return concatRows(
    Array.from({ length: count }, (_, b) => sliceRows(temb, b * count + b, b * count + b + 1)),
  );
}
