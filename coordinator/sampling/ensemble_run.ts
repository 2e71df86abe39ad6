/**
 * The experts of one run of the sampling loop: prompts encoded by those that will be asked, a session on each, and one
 * prediction of noise per evaluation as the ensembling method makes it.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { inSpan } from "../../shared/telemetry/tracing.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { Patience } from "../cluster/admission_retry.ts";
import { encodeConditioning } from "./conditioning.ts";
import {
  duplicateForGuidance,
  type GuidanceInterval,
  guidanceRows,
  isGuided,
  type NoisePrediction,
  splitGuidance,
  usesGuidance,
} from "./guidance.ts";
import type { EnsemblingMethod, MethodMemory, MethodStep } from "./methods/method.ts";
import { type Sampler, stepCount } from "./samplers/sampler.ts";
import {
  type EnsembleOpening,
  EnsembleSession,
  type PredictionRequest,
} from "./session/ensemble_session.ts";
import type { PromptRow } from "./text_states.ts";

/** What a run asks of its experts. */
export interface RunRequest
  extends Pick<EnsembleOpening, "waves" | "job" | "fence" | "wireDtypes" | "patience" | "signal"> {
  readonly experts: readonly Expert[];
  readonly method: EnsemblingMethod;
  readonly sampler: Sampler;
  readonly guidanceScale: number;
  /** Where guidance is on. @default in all steps */
  readonly guidanceInterval?: GuidanceInterval;
  /** How much of the deviation that guidance adds is undone (`rescaleGuidance()`). @default 0 */
  readonly guidanceRescale?: number;
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
  readonly onSegment?: PredictionRequest["onSegment"];
}

export interface RunPrediction {
  readonly prediction: NoisePrediction;
  /** Of each expert that was asked, where the method keeps them apart. */
  readonly perExpert?: readonly NoisePrediction[];
}

export class EnsembleRun implements AsyncDisposable {
  readonly #request: RunRequest;
  readonly #steps: readonly MethodStep[];
  /** Which experts have a session, by index in the ensemble. */
  readonly #asked: readonly number[];
  readonly #session: EnsembleSession;

  private constructor(
    request: RunRequest,
    steps: readonly MethodStep[],
    asked: readonly number[],
    session: EnsembleSession,
  ) {
    this.#request = request;
    this.#steps = steps;
    this.#asked = asked;
    this.#session = session;
  }

  /**
   * Encodes the prompts and opens the sessions.
   *
   * @param begin the evaluation that comes first: experts that only those before it asked take no part
   * @throws {TuttiError} what an expert refused
   */
  static async open(request: RunRequest, begin: number): Promise<EnsembleRun> {
    const { method, sampler, guidanceScale, initialLatents, patience, ...rest } = request;
    const steps = sampler.evaluations.map((each) => ({ ...each, stepCount: stepCount(sampler) }));
    const ahead = steps.slice(begin).flatMap((step) => method.plan(step).experts);
    const asked = request.experts.flatMap((_, i) => ahead.includes(i) ? [i] : []);
    const experts = asked.map((i) => request.experts[i]!);
    const [images = 0, , height = 0, width = 0] = initialLatents.shape;
    const halves = guidanceRows(images, guidanceScale);
    const { signal, clipSkip, imageSize, secondPadId, job, fence, wireDtypes } = rest;
    // Where a step leaves the unconditional half out, that half has waves of its own.
    const leavesOut = usesGuidance(guidanceScale) &&
      !steps.every((step) => takesBothHalves(request, step));
    const waves = leavesOut ? Math.max(rest.waves ?? 1, 2) : rest.waves;
    const opening = {
      height,
      width,
      halves,
      timesteps: steps.map(({ timestep }) => timestep),
      patience: patience ?? new Patience({ waitMs: 0, signal }),
      ...(waves !== undefined && { waves }),
      ...(job !== undefined && { job }),
      ...(fence !== undefined && { fence }),
      ...(wireDtypes && { wireDtypes }),
      ...(signal && { signal }),
    };
    const rows = usesGuidance(guidanceScale)
      ? [...request.negativePromptIds, ...request.promptIds]
      : request.promptIds;
    const encode = () =>
      encodeConditioning(experts, rows, opening.timesteps, {
        patience: opening.patience,
        ...(request.isNegativeGiven === false && {
          zeroRows: halves.map((half) => half === "unconditional"),
        }),
        ...(clipSkip !== undefined && { clipSkip }),
        ...(imageSize && { imageSize }),
        ...(secondPadId !== undefined && { secondPadId }),
        ...(signal && { signal }),
      });
    const conditioning = await inSpan("encode prompts", {}, encode);
    const open = () => EnsembleSession.open(experts, conditioning, opening);
    return new EnsembleRun(request, steps, asked, await inSpan("open sessions", {}, open));
  }

  /**
   * What the ensemble predicts for an evaluation, both halves of guidance in one pass; the conditional one alone where
   * guidance is off.
   *
   * @param latentModelInput f32 `[B, 4, H, W]`
   * @param memory the method's, if it has one
   * @throws {TuttiError} what an expert or the aggregator threw
   */
  async predictNoise(
    latentModelInput: F32Tensor,
    evaluationIndex: number,
    memory?: MethodMemory,
  ): Promise<RunPrediction> {
    const { method, onSegment, signal } = this.#request;
    const step = this.#steps[evaluationIndex]!;
    const { experts, segments } = method.plan(step);
    // At scale 1 only the conditional half is asked.
    const guidanceScale = takesBothHalves(this.#request, step) ? this.#request.guidanceScale : 1;
    const predictions = await this.#session.predictNoise({
      latentModelInput: duplicateForGuidance(latentModelInput, guidanceScale),
      index: evaluationIndex,
      segments,
      experts: experts.map((expert) => this.#asked.indexOf(expert)),
      ...(method.aggregator && { aggregator: method.aggregator }),
      ...(onSegment && { onSegment }),
      ...(signal && { signal }),
    });
    const halves = predictions.map((each) => splitGuidance(each, guidanceScale));
    if (!method.combineNoise) return { prediction: halves[0]! };
    const context = { ...step, guidanceScale, latentModelInput, memory };
    return { prediction: method.combineNoise(halves, context), perExpert: halves };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }
}

function takesBothHalves(
  { method, guidanceScale, guidanceInterval }: RunRequest,
  step: MethodStep,
): boolean {
  return usesGuidance(guidanceScale) &&
    (method.needsBothHalves === true || isGuided(step, guidanceInterval));
}
