/** DDIM (Song et al. 2021, Eq. 12 and 16) with diffusers' conventions. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { epsilonAndDenoised } from "../prediction.ts";
import { addNoise, alphasCumprod, sigmaOf } from "./noise_schedule.ts";
import type {
  Evaluation,
  GuidedPrediction,
  Sampler,
  SamplerState,
  SamplerStep,
} from "./sampler.ts";
import type { SpacedConfig } from "./scheduler_config.ts";
import { spacedTimesteps } from "./spacing.ts";

export class DdimSampler implements Sampler {
  readonly name = "ddim";
  readonly evaluations: readonly Evaluation[];
  readonly initNoiseSigma = 1;
  readonly #alphasCumprod: Float64Array;
  readonly #config: SpacedConfig;
  readonly #eta: number;

  /**
   * @param eta share of DDPM's noise that each step adds: 0 is deterministic
   * @throws {UsageError} if the number of steps does not fit the training schedule
   */
  constructor(numInferenceSteps: number, config: SpacedConfig, eta = 0) {
    this.#alphasCumprod = alphasCumprod(config);
    this.#config = config;
    this.#eta = eta;
    this.evaluations = spacedTimesteps(numInferenceSteps, config).map((timestep, stepIndex) => ({
      timestep,
      sigma: sigmaOf(this.#alphasCumprod[timestep]!),
      stepIndex,
      noiseCount: eta > 0 ? 1 : 0,
    }));
  }

  scaleModelInput(latents: F32Tensor): F32Tensor {
    return latents;
  }

  addNoise(clean: F32Tensor, noise: F32Tensor, evaluationIndex: number): F32Tensor {
    return addNoise(clean, noise, this.#alphasCumprod[this.#timestep(evaluationIndex)]!);
  }

  /** x' = sqrt(alphaBar') x_0 + sqrt(1 - alphaBar' - sigma^2) epsilon + sigma z */
  step(
    { guided }: GuidedPrediction,
    evaluationIndex: number,
    { latents }: SamplerState,
    [noise]: readonly F32Tensor[],
  ): SamplerStep {
    const timestep = this.#timestep(evaluationIndex);
    const alphaBar = this.#alphasCumprod[timestep]!;
    const alphaBarPrev = this.#alphaBarBefore(timestep);
    const { predictionType } = this.#config;
    const { epsilon, denoised } = epsilonAndDenoised(guided, latents, alphaBar, predictionType);
    const variance = noise ? this.#variance(alphaBar, alphaBarPrev) : 0;
    const deterministic = [
      [Math.sqrt(alphaBarPrev), denoised],
      [Math.sqrt(1 - alphaBarPrev - variance), epsilon],
    ] as const;
    const random = noise ? [[Math.sqrt(variance), noise] as const] : [];
    return { denoised, state: { latents: lincomb([...deterministic, ...random]), memory: {} } };
  }

  #timestep(evaluationIndex: number): number {
    return this.evaluations[evaluationIndex]!.timestep;
  }

  /** sigma^2 = eta^2 (1 - alphaBar') / (1 - alphaBar) (1 - alphaBar / alphaBar') (Eq. 16) */
  #variance(alphaBar: number, alphaBarPrev: number): number {
    return this.#eta ** 2 * (1 - alphaBarPrev) / (1 - alphaBar) * (1 - alphaBar / alphaBarPrev);
  }

  /** alphaBar one stride earlier. Before timestep 0 it is that of timestep 0, so a little noise stays. */
  #alphaBarBefore(timestep: number): number {
    const { numTrainTimesteps, setAlphaToOne } = this.#config;
    const previous = timestep - Math.floor(numTrainTimesteps / this.evaluations.length);
    if (previous >= 0) return this.#alphasCumprod[previous]!;
    return setAlphaToOne ? 1 : this.#alphasCumprod[0]!;
  }
}
