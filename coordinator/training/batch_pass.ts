/**
 * Noisy latents through the ensemble, and the way back (`docs/spec.md`, "Training"). Each row has its own timestep.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import { embedRows } from "../../shared/engine/step_tembs.ts";
import { type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import { Patience } from "../cluster/admission_retry.ts";
import type { Aggregator } from "../sampling/aggregation.ts";
import type { Segment } from "../sampling/aggregation_plan.ts";
import { addedCondOf, conditioningOf } from "../sampling/conditioning.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { EnsembleSession, type PredictionRequest } from "../sampling/session/ensemble_session.ts";
import type { PromptEmbeds } from "../sampling/prompt_embeds.ts";
import { type DifferentiableAggregator, ensembleBackward } from "./ensemble_backward.ts";
import { noiseLoss } from "./noise_loss.ts";
import { SessionExpert } from "./session_expert.ts";
import { ForwardTape } from "./forward_tape.ts";

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

export interface ForwardEnsemble<A extends Aggregator = Aggregator> {
  readonly experts: readonly Expert[];
  readonly aggregator: A;
  readonly plan: readonly Segment[];
}

/** What can be trained. */
export type TrainableEnsemble = ForwardEnsemble<Aggregator & DifferentiableAggregator>;

export interface PassOptions {
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

/** @returns the mean of squares of each row (Eq. 12 is the mean over rows) */
export async function batchLosses(
  ensemble: ForwardEnsemble,
  batch: NoisyBatch,
  options: PassOptions = {},
): Promise<number[]> {
  await using session = await openBatch(ensemble, batch, options);
  const [noise] = await session.predictNoise(predictionOf(ensemble, batch, options));
  return batch.timesteps.map((_, b) =>
    noiseLoss(sliceRows(noise!, b, b + 1), sliceRows(batch.target, b, b + 1)).loss
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
  options: PassOptions = {},
): Promise<BatchGradients> {
  await using session = await openBatch(ensemble, batch, { ...options, keepInputs: true });
  const tape = new ForwardTape(batch.latents);
  const onSegment = (report: SegmentReport) => {
    tape.add(report);
    options.onSegment?.(report);
  };
  const [noise] = await session.predictNoise(
    predictionOf(ensemble, batch, { ...options, onSegment }),
  );
  const { loss, gradNoise } = noiseLoss(noise!, batch.target);
  if (!Number.isFinite(loss)) {
    const block = ensemble.plan.at(-1)!.last;
    throw new TuttiError("DATA_LOSS", `Loss must be finite: current value is ${loss}`, {
      details: { block },
    });
  }
  const { gradParameters } = await ensembleBackward({
    experts: session.sessions.map((each) => new SessionExpert(each, STEP)),
    aggregator: ensemble.aggregator,
    conditioning: session.conditioningAt(STEP),
    tape: tape.entries,
    gradNoise,
    ...(options.signal && { signal: options.signal }),
  });
  return { loss, gradParameters };
}

/** A batch is a single step. */
const STEP = 0;

/** A worker may be full of other clients' images for a while, ms: a run of hours waits. */
const ROOM_WAIT_MS = 600_000;

/** One step with a timestep per row. */
async function openBatch(
  { experts }: ForwardEnsemble,
  { latents, timesteps, embeds, imageSize }: NoisyBatch,
  { keepInputs = false, signal }: PassOptions & { readonly keepInputs?: boolean },
): Promise<EnsembleSession> {
  const [batch = 0, , height = 0, width = 0] = latents.shape;
  const conditionings = await Promise.all(
    experts.map(async (expert, i) => {
      const addedCond = addedCondOf(embeds[i]!, batch, imageSize);
      return {
        temb: await embedRows(expert, timesteps, addedCond, signal),
        encoderHiddenStates: embeds[i]!.promptEmbeds,
        ...(addedCond && { addedCond }),
      };
    }),
  );
  const opening = {
    height,
    width,
    keepInputs,
    timesteps: [timesteps],
    patience: new Patience({ waitMs: ROOM_WAIT_MS, signal }),
    ...(signal && { signal }),
  };
  const conditioning = conditioningOf(conditionings, batch, 1);
  return await EnsembleSession.open(experts, conditioning, opening);
}

function predictionOf(
  { aggregator, plan }: ForwardEnsemble,
  { latents }: NoisyBatch,
  { onSegment, signal }: PassOptions,
): PredictionRequest {
  return {
    latentModelInput: latents,
    index: STEP,
    segments: plan,
    aggregator,
    ...(onSegment && { onSegment }),
    ...(signal && { signal }),
  };
}
