/**
 * The sampling loop: sampler, guidance, ensembling method and experts put together. It is a generator that yields
 * after each step; progress, previews, checkpoints and cancellation are the caller's.
 *
 * @module
 */

import { ShapeError } from "../../shared/errors.ts";
import { checkTensor } from "../../shared/tensor/check.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { EnsembleRun, type RunRequest } from "./ensemble_run.ts";
import {
  classifierFreeGuidance,
  isGuided,
  type NoisePrediction,
  rescaleGuidance,
} from "./guidance.ts";
import type { ImageNoise } from "./image_noise.ts";
import { firstEvaluation, keepUnmasked, type StartPicture, startState } from "./start_picture.ts";
import type { MethodMemory } from "./methods/method.ts";
import {
  endsStep,
  type Evaluation,
  initialState,
  type Sampler,
  type SamplerState,
  stepCount,
} from "./samplers/sampler.ts";

export interface SampleRequest extends RunRequest {
  /** What a sampler draws on the way. Samplers that draw nothing need none. */
  readonly noise?: ImageNoise;
  /** Where it starts instead of from noise alone. */
  readonly start?: StartPicture;
  /** A step of an earlier run of the same request: this one goes on after it, to the same bits. @default from the beginning */
  readonly from?: SampledStep;
}

/** All that the rest of a run follows from. */
export interface SampledStep {
  readonly stepIndex: number;
  readonly state: SamplerState;
  /** The method's, if it has one. */
  readonly methodMemory?: MethodMemory;
}

export interface SampleStep extends SampledStep {
  /** Of the step's first evaluation. */
  readonly timestep: number;
  /** After this step, f32 `[B, 4, H, W]`: those of the state. */
  readonly latents: F32Tensor;
  /** The estimate of the clean latents, for previews. */
  readonly denoised: F32Tensor;
}

/**
 * Samples. The last step's latents are the result.
 *
 * @throws {TuttiError} what an expert or the method threw; sessions are closed whatever happens
 */
export async function* sample(request: SampleRequest): AsyncGenerator<SampleStep, void, void> {
  const { sampler, method, experts, noise, start, from, initialLatents } = request;
  checkRequest(request);
  const first = start ? firstEvaluation(sampler, start) : 0;
  const begin = from === undefined ? first : firstEvaluationAfter(sampler, from.stepIndex);
  if (begin === sampler.evaluations.length) return;
  // Steps that are not run draw nothing.
  noise?.skip(sampler.evaluations.slice(first, begin));
  let state = from?.state ??
    (start ? startState(sampler, start, initialLatents) : initialState(sampler, initialLatents));
  let memory = from?.methodMemory ?? method.memory?.begin(initialLatents.shape[0]!);
  const { predictionType } = experts[0]!.description;
  await using ensemble = await EnsembleRun.open(request, begin);
  for (const [index, evaluation] of [...sampler.evaluations.entries()].slice(begin)) {
    const drawn = noise?.take(evaluation) ?? [];
    const latentModelInput = sampler.scaleModelInput(state.latents, index, drawn);
    const { prediction, perExpert } = await ensemble.predictNoise(latentModelInput, index, memory);
    const guided = guide(request, prediction, evaluation);
    const step = sampler.step(
      { ...prediction, guided, ...(perExpert && { perExpert }) },
      index,
      state,
      drawn,
    );
    state = step.state;
    const next = sampler.evaluations[index + 1];
    if (method.memory && next) {
      const evaluated = { sigma: evaluation.sigma, latentModelInput };
      const ahead = sampler.scaleModelInput(state.latents, index + 1, []);
      memory = method.memory.after({
        predictions: perExpert!,
        predictionType,
        from: evaluated,
        to: { sigma: next.sigma, latentModelInput: ahead },
        memory: memory!,
      });
    }
    if (!endsStep(sampler, index)) continue;
    if (start) {
      const latents = keepUnmasked(sampler, start, initialLatents, state.latents, index + 1);
      state = { ...state, latents };
    }
    const { stepIndex } = evaluation;
    const timestep = sampler.evaluations.find((each) => each.stepIndex === stepIndex)!.timestep;
    yield {
      stepIndex,
      timestep,
      state,
      latents: state.latents,
      denoised: step.denoised,
      ...(memory && { methodMemory: memory }),
    };
  }
}

/** What guidance makes of both halves, in the steps in which it is on. */
function guide(
  { sampler, guidanceScale, guidanceInterval, guidanceRescale = 0 }: SampleRequest,
  prediction: NoisePrediction,
  { stepIndex }: Evaluation,
): F32Tensor {
  const { conditional, unconditional } = prediction;
  const isOn = isGuided({ stepIndex, stepCount: stepCount(sampler) }, guidanceInterval);
  if (!unconditional || !isOn) return conditional;
  const guided = classifierFreeGuidance(prediction, guidanceScale);
  return rescaleGuidance(guided, conditional, guidanceRescale);
}

/** @throws {ShapeError} if prompts, noise or an earlier step do not fit the run */
function checkRequest(
  { sampler, method, initialLatents, promptIds, negativePromptIds, noise, from }: SampleRequest,
): void {
  const batch = initialLatents.shape[0]!;
  if (promptIds.length !== batch || negativePromptIds.length !== batch) {
    throw new ShapeError(
      `A batch of ${batch} images needs as many prompts: current count is ${promptIds.length}`,
    );
  }
  if (!noise && sampler.evaluations.some(({ noiseCount }) => noiseCount > 0)) {
    throw new ShapeError(`Sampler ${sampler.name} draws noise on the way: the run needs a source`);
  }
  if (!from) return;
  const steps = stepCount(sampler);
  const { stepIndex, state: { latents, memory }, methodMemory = {} } = from;
  if (!(Number.isSafeInteger(stepIndex) && 0 <= stepIndex && stepIndex < steps)) {
    throw new ShapeError(
      `A run of ${steps} steps goes on after one of 0..${steps - 1}: current value is ${stepIndex}`,
    );
  }
  for (const [name, tensor] of Object.entries({ ...memory, latents })) {
    checkTensor(name, tensor, "float32", initialLatents.shape);
  }
  for (const [name, { shape }] of Object.entries(method.memory?.begin(batch) ?? {})) {
    const remembered = methodMemory[name];
    if (remembered) checkTensor(name, remembered, "float32", shape);
    else {throw new ShapeError(
        `A run of method ${method.name} goes on with its ${name}: none is there`,
      );}
  }
}

/** The number of evaluations, if that step is the last. */
function firstEvaluationAfter({ evaluations }: Sampler, stepIndex: number): number {
  return evaluations.findLastIndex((each) => each.stepIndex === stepIndex) + 1;
}
