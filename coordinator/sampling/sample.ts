/**
 * The sampling loop: scheduler, guidance and ensembled U-Net put together. It is a generator that yields
 * after each step; progress, previews, checkpoints and cancellation are the caller's.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { ShapeError } from "../../shared/errors.ts";
import { checkTensor } from "../../shared/tensor/check.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import { inSpan } from "../../shared/telemetry/tracing.ts";
import { concatRows, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import type { WireDtypes } from "../../shared/wire/convert_plane.ts";
import { Patience } from "../cluster/admission_retry.ts";
import type { Aggregator } from "./aggregation.ts";
import type { Segment } from "./aggregation_plan.ts";
import { encodeConditioning } from "./conditioning.ts";
import { ensembleForward, type SegmentReport } from "./ensemble_forward.ts";
import { classifierFreeGuidance, duplicateForGuidance, usesGuidance } from "./guidance.ts";
import type { Scheduler } from "./samplers/sampler.ts";
import { sideBySide } from "./side_by_side.ts";
import type { PromptRow } from "./text_states.ts";
import { closeWaves, openWaves } from "./session/wave_sessions.ts";
import { splitIntoWaves } from "./session/waves.ts";

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
  /**
   * Into how many parts the rows of a step (guidance halves times images) are split. They travel on their own: while
   * one is on its way or is aggregated, the experts compute another. Each takes a session on every expert. More than
   * there are rows are as many as there are rows. @default 1
   */
  readonly waves?: number;
  /** Names this run to the experts, which divide their time fairly between jobs. @default a random name */
  readonly job?: string;
  /** As in `SessionConfig`. */
  readonly fence?: number;
  /** As in `SessionConfig`. */
  readonly wireDtypes?: Partial<WireDtypes>;
  /**
   * A step of an earlier run of the same request: this one goes on after it, to the same bits, for schedulers keep nothing
   * between steps and noise follows from the initial latents alone. @default the run starts at its beginning
   */
  readonly from?: Pick<SampleStep, "stepIndex" | "latents">;
  /** How long to wait for room on workers that are full. @default not at all */
  readonly patience?: Patience;
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
  const done = request.from === undefined ? 0 : checkedStart(request, request.from) + 1;
  const halves = usesGuidance(guidanceScale) ? 2 : 1;
  const waveRows = splitIntoWaves(batch, halves, request.waves ?? 1);
  const rows = usesGuidance(guidanceScale)
    ? [...request.negativePromptIds, ...request.promptIds]
    : request.promptIds;
  const { timesteps } = scheduler;
  const { patience = new Patience({ waitMs: 0, signal }) } = request;
  const encode = () =>
    encodeConditioning(experts, rows, timesteps, {
      ...(request.clipSkip !== undefined && { clipSkip: request.clipSkip }),
      ...(request.imageSize && { imageSize: request.imageSize }),
      ...(request.secondPadId !== undefined && { secondPadId: request.secondPadId }),
      ...(request.isNegativeGiven === false && { zeroRows: zeroRows(guidanceScale, batch) }),
      ...(signal && { signal }),
      patience,
    });
  const conditioning = await inSpan("encode prompts", {}, encode);
  const open = () =>
    openWaves(experts, waveRows, conditioning, {
      ...{ height, width, timesteps, job: request.job ?? crypto.randomUUID() },
      ...(request.fence !== undefined && { fence: request.fence }),
      ...(request.wireDtypes && { wireDtypes: request.wireDtypes }),
    }, { patience, signal });
  const waves = await inSpan("open sessions", {}, open);
  try {
    let latents = request.from?.latents ??
      lincomb([[scheduler.initNoiseSigma, request.initialLatents]]);
    for (const [stepIndex, timestep] of [...timesteps.entries()].slice(done)) {
      const input = duplicateForGuidance(
        scheduler.scaleModelInput(latents, stepIndex),
        guidanceScale,
      );
      const means = conditioning.at(stepIndex);
      const forward = () =>
        sideBySide(
          waves,
          ({ sessions, rows: { start, end } }, signal) =>
            ensembleForward({
              sessions,
              plan,
              aggregator,
              conditioning: {
                temb: sliceRows(means.temb, start, end),
                encoderHiddenStates: sliceRows(means.encoderHiddenStates, start, end),
              },
              stepIndex,
              latentModelInput: sliceRows(input, start, end),
              firstRow: start,
              ...(request.onSegment && { onSegment: request.onSegment }),
              signal,
            }),
          signal,
        );
      const noisePreds = await inSpan("step", { "tutti.step": stepIndex }, forward);
      const noisePred = noisePreds.length === 1 ? noisePreds[0]! : concatRows(noisePreds);
      const guided = classifierFreeGuidance(noisePred, guidanceScale);
      const step = scheduler.step(guided, stepIndex, latents);
      latents = step.latents;
      yield { stepIndex, timestep, ...step };
    }
  } finally {
    await closeWaves(waves);
  }
}

/** @throws {ShapeError} if the step is none of this run, or its latents have another shape */
function checkedStart(
  { scheduler: { timesteps }, initialLatents }: SampleRequest,
  { stepIndex, latents }: Pick<SampleStep, "stepIndex" | "latents">,
): number {
  if (timesteps[stepIndex] === undefined) {
    throw new ShapeError(
      `A run of ${timesteps.length} steps goes on after one of 0..${timesteps.length - 1}: ` +
        `current value is ${stepIndex}`,
    );
  }
  checkTensor("latents", latents, "float32", initialLatents.shape);
  return stepIndex;
}

/** The unconditional half. */
function zeroRows(guidanceScale: number, batch: number): boolean[] {
  const text = new Array<boolean>(batch).fill(false);
  return usesGuidance(guidanceScale) ? [...new Array<boolean>(batch).fill(true), ...text] : text;
}
