/**
 * What the sampling loop asks of a scheduler. A step returns new latents and changes nothing, so a step
 * that failed on a worker can be repeated without drift.
 *
 * @module
 */

import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export interface Scheduler {
  /** As users write it: `ddim`. */
  readonly name: string;
  /** Training timesteps in the order they are visited, one per step. */
  readonly timesteps: readonly number[];
  /** Factor on unit Gaussian noise to make the first latents. */
  readonly initNoiseSigma: number;
  /** What the U-Net is given for these latents. */
  scaleModelInput(latents: F32Tensor, stepIndex: number): F32Tensor;
  /**
   * x_t and the predicted noise -> x_{t-1}.
   *
   * @param modelOutput what the U-Net predicted (noise or velocity), as the latents
   */
  step(modelOutput: F32Tensor, stepIndex: number, latents: F32Tensor): SchedulerStep;
}

export interface SchedulerStep {
  readonly latents: F32Tensor;
  /** The estimate of x_0 that this step used. */
  readonly denoised: F32Tensor;
}
