/**
 * One job from its description to images in memory, step by step: from its beginning or from a checkpoint, with a
 * checkpoint after each step where one is wanted.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import { inSpan } from "../../shared/telemetry/tracing.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Patience } from "../cluster/admission_retry.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { sample } from "../sampling/sample.ts";
import { firstStep } from "../sampling/start_picture.ts";
import type { SettingOrigins } from "../settings/choose_settings.ts";
import type { CheckpointStore } from "./checkpoint_store.ts";
import type { ImageFacts } from "./image_metadata.ts";
import { flagRefusal } from "./flag_refusal.ts";
import { pasteUnmasked, startPicture } from "./init_picture.ts";
import type { JobSpec } from "./job_spec.ts";
import { differingConditions } from "./picture_record.ts";
import { prepareJob, type PrepareOptions, type RunConditions } from "./prepare_job.ts";
import { checkSameRun, type StepCheckpoint } from "./step_checkpoint.ts";

export interface JobRun extends PrepareOptions {
  readonly ensemble: Ensemble;
  readonly spec: JobSpec;
  /** Of settings that no flag gave, for errors. */
  readonly origins?: SettingOrigins;
  /** Goes on after this step. @default from the beginning */
  readonly from?: StepCheckpoint;
  /** What a picture was drawn under that is drawn again: what differs is warned of. */
  readonly drawnBefore?: RunConditions;
  /** Gets each step; failing to keep one ends the run. */
  readonly checkpoints?: Pick<CheckpointStore, "save">;
  /** Names the job to the workers. @default a random name */
  readonly job?: string;
  /** As in `SessionConfig`. */
  readonly fence?: number;
  /** How long to wait for room on workers that are full. @default not at all */
  readonly patience?: Patience;
  /**
   * Told how many steps are done: once before the first, then after each, when its checkpoint is kept, with the estimate of
   * the clean latents, f32 `[B, 4, h, w]`.
   */
  readonly onStep?: (stepsDone: number, denoised?: F32Tensor) => void | Promise<void>;
  readonly onSegment?: (report: SegmentReport) => void;
  /** Ends the run after the step that is being computed, unless it is the last one. */
  readonly draining?: AbortSignal;
  readonly signal?: AbortSignal;
}

/** A batch that has been drawn. */
export interface DrawnImages {
  /** f32 `[B, 3, H, W]` */
  readonly images: F32Tensor;
  /** After the last step, as the U-Net has them, f32 `[B, 4, h, w]`. */
  readonly latents: F32Tensor;
  /** One per image. */
  readonly facts: readonly ImageFacts[];
  readonly timesteps: readonly number[];
  readonly samplingMs: number;
}

/**
 * @throws {TuttiError} FAILED_PRECONDITION if `from` is of another run, UNAVAILABLE with `state: "draining"` if it was
 * ended by `draining`, and what sampling throws
 */
export function runJob(run: JobRun): Promise<DrawnImages> {
  const { job = "", spec } = run;
  const attributes = {
    "tutti.job": job,
    "tutti.images": spec.seeds.length,
    "tutti.steps": spec.steps,
  };
  return inSpan("job", attributes, async () => {
    try {
      return await drawImages(run);
    } catch (error) {
      throw flagRefusal(error, run.origins);
    }
  });
}

async function drawImages(run: JobRun): Promise<DrawnImages> {
  const { ensemble, spec, from, checkpoints, job, fence, onStep, onSegment, patience, signal } =
    run;
  const prepared = prepareJob(ensemble, spec, run);
  const { request, conditions, size, picture } = prepared;
  if (from) checkSameRun(from, { spec, conditions });
  differingConditions(run.drawnBefore ?? {}, conditions).forEach(run.warn);
  const start = picture && await startPicture(picture, {
    vae: ensemble.vae,
    strength: spec.strength,
    images: spec.seeds.length,
  });
  await onStep?.(from ? from.stepIndex + 1 : start ? firstStep(spec.steps, start.strength) : 0);
  const startMs = performance.now();
  // Of no step at all the picture itself.
  let latents = from?.state.latents ?? start?.latents ?? request.initialLatents;
  const steps = sample({
    ...request,
    ...(start && { start }),
    ...(from && { from }),
    ...(job !== undefined && { job }),
    ...(fence !== undefined && { fence }),
    ...(patience && { patience }),
    ...(onSegment && { onSegment }),
    ...(signal && { signal }),
  });
  for await (const { stepIndex, state, methodMemory, denoised } of steps) {
    latents = state.latents;
    const kept = { spec, stepIndex, state, ...(methodMemory && { methodMemory }), conditions };
    await checkpoints?.save(kept);
    await onStep?.(stepIndex + 1, denoised);
    if (run.draining?.aborted && stepIndex + 1 < spec.steps) throw drained(stepIndex);
  }
  const samplingMs = performance.now() - startMs;
  const images = await inSpan("decode", {}, () => ensemble.vae.decode(latents));
  return {
    images: picture ? pasteUnmasked(images, picture) : images,
    latents,
    facts: spec.seeds.map((seed) => ({
      spec,
      seed,
      method: spec.method ?? request.method.name,
      sabw: request.method.aggregator?.name ?? "none",
      ...(request.method.aggregatedBlocks && {
        aggregatedBlocks: request.method.aggregatedBlocks,
      }),
      ...size,
      conditions,
    })),
    timesteps: request.sampler.evaluations.map(({ timestep }) => timestep),
    samplingMs,
  };
}

function drained(stepIndex: number): TuttiError {
  return new TuttiError("UNAVAILABLE", `The coordinator is draining: it stopped after a step`, {
    details: { state: "draining", stepIndex: String(stepIndex) },
  });
}
