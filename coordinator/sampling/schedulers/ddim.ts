/** DDIM (Song et al. 2021, Eq. 12, eta = 0) with diffusers' conventions (`docs/spec.md`, "DDIM"). @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { epsilonAndDenoised } from "../prediction.ts";
import { alphasCumprod } from "./noise_schedule.ts";
import type { Scheduler, SchedulerStep } from "./scheduler.ts";
import type { SchedulerConfig } from "./scheduler_config.ts";
import { spacedTimesteps } from "./spacing.ts";

export class DdimScheduler implements Scheduler {
  readonly name = "ddim";
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly #alphasCumprod: Float64Array;
  readonly #config: SchedulerConfig;

  /** @throws {UsageError} if the number of steps does not fit the training schedule */
  constructor(numInferenceSteps: number, config: SchedulerConfig) {
    this.timesteps = spacedTimesteps(numInferenceSteps, config);
    this.#alphasCumprod = alphasCumprod(config);
    this.#config = config;
  }

  scaleModelInput(latents: F32Tensor): F32Tensor {
    return latents;
  }

  /** x' = sqrt(alphaBar') x_0 + sqrt(1 - alphaBar') epsilon */
  step(modelOutput: F32Tensor, stepIndex: number, latents: F32Tensor): SchedulerStep {
    const timestep = this.timesteps[stepIndex]!;
    const alphaBar = this.#alphasCumprod[timestep]!;
    const alphaBarPrev = this.#alphaBarBefore(timestep);
    const { epsilon, denoised } = epsilonAndDenoised(
      modelOutput,
      latents,
      alphaBar,
      this.#config.predictionType,
    );
    return {
      denoised,
      latents: lincomb([[Math.sqrt(alphaBarPrev), denoised], [
        Math.sqrt(1 - alphaBarPrev),
        epsilon,
      ]]),
    };
  }

  /** alphaBar one stride earlier. Before timestep 0 it is that of timestep 0, so a little noise stays. */
  #alphaBarBefore(timestep: number): number {
    const { numTrainTimesteps, setAlphaToOne } = this.#config;
    const previous = timestep - Math.floor(numTrainTimesteps / this.timesteps.length);
    if (previous >= 0) return this.#alphasCumprod[previous]!;
    return setAlphaToOne ? 1 : this.#alphasCumprod[0]!;
  }
}
