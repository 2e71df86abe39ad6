/**
 * The sampling loop: scheduler, guidance and ensembled U-Net put together. It is a generator that yields
 * after each step; progress, previews, checkpoints and cancellation are the caller's.
 *
 * @module
 */

import type { Expert, ExpertSession } from "../../shared/engine/expert.ts";
import { ShapeError } from "../../shared/errors.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Aggregator } from "./aggregation.ts";
import type { Segment } from "./aggregation_plan.ts";
import { encodeConditioning } from "./conditioning.ts";
import { ensembleForward, type SegmentReport } from "./ensemble_forward.ts";
import { classifierFreeGuidance, duplicateForGuidance, usesGuidance } from "./guidance.ts";
import type { Scheduler } from "./schedulers/scheduler.ts";
import type { PromptRow } from "./text_states.ts";

export interface SampleRequest {
  readonly experts: readonly Expert[];
  readonly aggregator: Aggregator;
  readonly plan: readonly Segment[];
  readonly scheduler: Scheduler;
  readonly guidanceScale: number;
  /** Unit Gaussian noise, f32 `[B, 4, H, W]`. */
  readonly initialLatents: F32Tensor;
  /** One row per image; with guidance all rows of both must have equally many chunks. */
  readonly promptIds: readonly PromptRow[];
  readonly negativePromptIds: readonly PromptRow[];
  /** The text encoders' layer, counted from the end: 1 is the last (`TextOptions`). @default 1 */
  readonly clipSkip?: number;
  /** Of the images in pixels; SDXL needs it. */
  readonly imageSize?: { readonly height: number; readonly width: number };
  /** Without a negative prompt SDXL's unconditional rows are zeros. @default true */
  readonly isNegativeGiven?: boolean;
  /** As in `PromptEmbedsOptions`. */
  readonly secondPadId?: number;
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

export interface SampleStep {
  readonly stepIndex: number;
  readonly timestep: number;
  /** After this step, f32 `[B, 4, H, W]`. */
  readonly latents: F32Tensor;
  /** The estimate of the clean latents, for previews. */
  readonly denoised: F32Tensor;
}

/**
 * Samples. The last step's latents are the result.
 *
 * @throws {TuttiError} what an expert or the aggregator threw; sessions are closed whatever happens
 */
export async function* sample(request: SampleRequest): AsyncGenerator<SampleStep, void, void> {
  const { experts, aggregator, plan, scheduler, guidanceScale, signal } = request;
  const [batch, , height, width] = request.initialLatents.shape as [number, number, number, number];
  if (request.promptIds.length !== batch || request.negativePromptIds.length !== batch) {
    throw new ShapeError(
      `A batch of ${batch} images needs as many prompts: current count is ${request.promptIds.length}`,
    );
  }
  const rows = usesGuidance(guidanceScale)
    ? [...request.negativePromptIds, ...request.promptIds]
    : request.promptIds;
  const { timesteps } = scheduler;
  const conditioning = await encodeConditioning(experts, rows, timesteps, {
    ...(request.clipSkip !== undefined && { clipSkip: request.clipSkip }),
    ...(request.imageSize && { imageSize: request.imageSize }),
    ...(request.secondPadId !== undefined && { secondPadId: request.secondPadId }),
    ...(request.isNegativeGiven === false && { zeroRows: zeroRows(guidanceScale, batch) }),
    ...(signal && { signal }),
  });
  const addedConds = conditioning.experts.map(({ addedCond }) => addedCond);
  const sessions = await openSessions(experts, (index) => ({
    batch: rows.length,
    height,
    width,
    encoderHiddenStates: conditioning.experts[index]!.encoderHiddenStates,
    ...(addedConds[index] && { addedCond: addedConds[index] }),
    timesteps,
  }), signal);
  try {
    let latents = lincomb([[scheduler.initNoiseSigma, request.initialLatents]]);
    for (const [stepIndex, timestep] of timesteps.entries()) {
      const noisePred = await ensembleForward({
        sessions,
        plan,
        aggregator,
        conditioning: conditioning.at(stepIndex),
        stepIndex,
        latentModelInput: duplicateForGuidance(
          scheduler.scaleModelInput(latents, stepIndex),
          guidanceScale,
        ),
        ...(request.onSegment && { onSegment: request.onSegment }),
        ...(signal && { signal }),
      });
      const guided = classifierFreeGuidance(noisePred, guidanceScale);
      const step = scheduler.step(guided, stepIndex, latents);
      latents = step.latents;
      yield { stepIndex, timestep, ...step };
    }
  } finally {
    await Promise.allSettled(sessions.map((session) => session.close()));
  }
}

/** The unconditional half. */
function zeroRows(guidanceScale: number, batch: number): boolean[] {
  const text = new Array<boolean>(batch).fill(false);
  return usesGuidance(guidanceScale) ? [...new Array<boolean>(batch).fill(true), ...text] : text;
}

/** All sessions or none: if one expert refuses, those of the others are closed again. */
async function openSessions(
  experts: readonly Expert[],
  configOf: (index: number) => Parameters<Expert["openSession"]>[0],
  signal?: AbortSignal,
): Promise<ExpertSession[]> {
  const opened = await Promise.allSettled(
    experts.map((expert, index) => expert.openSession(configOf(index), signal)),
  );
  const sessions = opened.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const refused = opened.find((result) => result.status === "rejected");
  if (refused) {
    await Promise.allSettled(sessions.map((session) => session.close()));
    throw refused.reason;
  }
  return sessions;
}
