/**
 * Noisy latents through the ensemble, and the way back (`docs/spec.md`, "Training"). Each row has its own timestep.
 *
 * @module
 */

import type { DifferentiableExpert } from "../../shared/engine/backward.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import { embedRows } from "../../shared/engine/step_tembs.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import { type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import { Patience } from "../cluster/admission_retry.ts";
import type { AggregationConditioning, Aggregator } from "../sampling/aggregation.ts";
import type { Segment } from "../sampling/aggregation_plan.ts";
import { addedCondOf } from "../sampling/conditioning.ts";
import {
  type EnsembleForward,
  ensembleForward,
  type SegmentReport,
} from "../sampling/ensemble_forward.ts";
import { closeSessions, openSessions } from "../sampling/open_sessions.ts";
import type { PromptEmbeds } from "../sampling/prompt_embeds.ts";
import { type DifferentiableAggregator, ensembleBackward } from "./ensemble_backward.ts";
import { noiseLoss } from "./noise_loss.ts";
import { SessionExpert } from "./session_expert.ts";
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

/** @returns the mean of squares of each row (Eq. 12 is the mean over rows) */
export async function batchLosses(
  ensemble: ForwardEnsemble,
  batch: NoisyBatch,
  options: PassOptions = {},
): Promise<number[]> {
  return await withSessions(ensemble, batch, { ...options, keepInputs: false }, async (pass) => {
    const noise = await ensembleForward(pass);
    return batch.timesteps.map((_, b) =>
      noiseLoss(sliceRows(noise, b, b + 1), sliceRows(batch.target, b, b + 1)).loss
    );
  });
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
  return await withSessions(ensemble, batch, { ...options, keepInputs: true }, async (pass) => {
    const { noise, tape } = await tapedForward(pass);
    const { loss, gradNoise } = noiseLoss(noise, batch.target);
    if (!Number.isFinite(loss)) {
      const block = ensemble.plan.at(-1)!.last;
      throw new TuttiError("DATA_LOSS", `Loss must be finite: current value is ${loss}`, {
        details: { block },
      });
    }
    const { sessions, conditioning, stepIndex, signal } = pass;
    const { gradParameters } = await ensembleBackward({
      experts: sessions.map((session) => new SessionExpert(session, stepIndex)),
      aggregator: ensemble.aggregator,
      blocks: ensemble.experts[0]!.description.blocks.map(({ id }) => id),
      ...{ conditioning, tape, gradNoise },
      ...(signal && { signal }),
    });
    return { loss, gradParameters };
  });
}

/** A worker may be full of other clients' images for a while, ms: a run of hours waits. */
const ROOM_WAIT_MS = 600_000;

/** A session per expert, of one step with a timestep per row; all are closed when the work has ended. */
async function withSessions<T>(
  { experts, aggregator, plan }: ForwardEnsemble,
  { latents, timesteps, embeds, imageSize }: NoisyBatch,
  { keepInputs, onSegment, signal }: PassOptions & { readonly keepInputs: boolean },
  work: (pass: EnsembleForward) => Promise<T>,
): Promise<T> {
  const [batch = 0, , height = 0, width = 0] = latents.shape;
  const addedConds = embeds.map((own) => addedCondOf(own, batch, imageSize));
  const tembs = await Promise.all(
    experts.map((expert, i) => embedRows(expert, timesteps, addedConds[i], signal)),
  );
  const patience = new Patience({ waitMs: ROOM_WAIT_MS, signal });
  const opening = () =>
    openSessions(experts.map((expert, i) =>
      expert.openSession({
        ...{ batch, height, width, timesteps: [timesteps], keepInputs },
        encoderHiddenStates: embeds[i]!.promptEmbeds,
        ...(addedConds[i] && { addedCond: addedConds[i] }),
      }, signal)
    ));
  const sessions = await patience.untilAdmitted(opening);
  try {
    const conditioning: AggregationConditioning = {
      temb: mean(tembs),
      encoderHiddenStates: mean(embeds.map(({ promptEmbeds }) => promptEmbeds)),
    };
    return await work({
      ...{ sessions, plan, aggregator, conditioning, stepIndex: 0, latentModelInput: latents },
      ...(onSegment && { onSegment }),
      ...(signal && { signal }),
    });
  } finally {
    await closeSessions(sessions);
  }
}
