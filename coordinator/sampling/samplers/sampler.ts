/**
 * What the sampling loop asks of a sampler. A sampler lists the evaluations of the model that a run takes up front; one
 * call of `step()` follows each. A step returns a new state and changes nothing, so it can be repeated, kept in a
 * checkpoint and continued elsewhere by code that does not know the sampler.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

/** One call of the model. */
export interface Evaluation {
  /** Training timestep that the model is told, fractions allowed. */
  readonly timestep: number;
  /** Noise level of the latents: `sqrt((1 - alphaBar) / alphaBar)`. */
  readonly sigma: number;
  /** Of the step that it belongs to: 0 for the first. */
  readonly stepIndex: number;
  /** How many noise tensors it takes: `scaleModelInput()` and `step()` are given the same ones. */
  readonly noiseCount: number;
}

/** Between two evaluations. After the last evaluation of a step it is all that the rest of the run follows from. */
export interface SamplerState {
  /** What the next evaluation looks at, f32 `[B, 4, H, W]`. */
  readonly latents: F32Tensor;
  /** What else the sampler remembers (earlier predictions, the state before a half step), by name; shapes as the latents. */
  readonly memory: Readonly<Record<string, F32Tensor>>;
}

/** What the ensemble predicted (noise or velocity), f32 `[B, 4, H, W]` each. */
export interface GuidedPrediction {
  readonly guided: F32Tensor;
  readonly conditional: F32Tensor;
  /** Absent without guidance. */
  readonly unconditional?: F32Tensor;
  /** Each expert's own, where the method keeps them apart; in the order of the experts that were asked. */
  readonly perExpert?: readonly Omit<GuidedPrediction, "guided" | "perExpert">[];
}

export interface SamplerStep {
  readonly state: SamplerState;
  /** The estimate of x_0 that this step used, f32 `[B, 4, H, W]`. */
  readonly denoised: F32Tensor;
}

export interface Sampler {
  /** As users write it: `ddim`, `euler_a`. */
  readonly name: string;
  /** Of the whole run, in order. */
  readonly evaluations: readonly Evaluation[];
  /** Factor on unit Gaussian noise to make the first latents. */
  readonly initNoiseSigma: number;
  /**
   * What the U-Net is given for these latents.
   *
   * @param noise unit Gaussian, as many as the evaluation asks for: some samplers add of it before they evaluate
   */
  scaleModelInput(
    latents: F32Tensor,
    evaluationIndex: number,
    noise: readonly F32Tensor[],
  ): F32Tensor;
  /** Clean latents at the noise level of an evaluation, in this sampler's scale: where a run that begins there starts. */
  addNoise(clean: F32Tensor, noise: F32Tensor, evaluationIndex: number): F32Tensor;
  /**
   * @param noise that of `scaleModelInput()`
   */
  step(
    prediction: GuidedPrediction,
    evaluationIndex: number,
    state: SamplerState,
    noise: readonly F32Tensor[],
  ): SamplerStep;
}

/** The state before the first evaluation. */
export function initialState({ initNoiseSigma }: Sampler, noise: F32Tensor): SamplerState {
  return { latents: lincomb([[initNoiseSigma, noise]]), memory: {} };
}

/** Whether a step ends with this evaluation. */
export function endsStep({ evaluations }: Sampler, evaluationIndex: number): boolean {
  return evaluations[evaluationIndex]!.stepIndex !== evaluations[evaluationIndex + 1]?.stepIndex;
}

/** How many steps a run takes. */
export function stepCount({ evaluations }: Sampler): number {
  return evaluations.at(-1)!.stepIndex + 1;
}
