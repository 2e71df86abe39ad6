/**
 * PNDM in the form that Stable Diffusion is published with: linear multistep over noise predictions (Liu et al. 2022, Eq. 11
 * and 12; PLMS), without Runge-Kutta steps at the start. The first step is evaluated twice: its second evaluation stands at the
 * timestep that the first one reached, and corrects it.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
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

/** Adams-Bashforth: factors of the newest prediction and those before it, by how many there are. */
const MULTISTEP = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
] as const;

/** Earlier predictions, the newest first. */
const EARLIER = ["epsilon_1", "epsilon_2", "epsilon_3"] as const;

export class PndmSampler implements Sampler {
  readonly name = "pndm";
  readonly evaluations: readonly Evaluation[];
  readonly initNoiseSigma = 1;
  readonly #alphasCumprod: Float64Array;
  readonly #config: SpacedConfig;
  /** Training timesteps between two steps. */
  readonly #stride: number;

  /** @throws {UsageError} if the number of steps does not fit the training schedule */
  constructor(numInferenceSteps: number, config: SpacedConfig) {
    this.#alphasCumprod = alphasCumprod(config);
    this.#config = config;
    this.#stride = Math.floor(config.numTrainTimesteps / numInferenceSteps);
    const timesteps = spacedTimesteps(numInferenceSteps, config);
    if (this.#alphaBar(timesteps[0]!) === 0) {
      throw new UsageError(
        `The sampler pndm must begin where there is signal: current first timestep is ${
          timesteps[0]
        }, pure noise`,
      );
    }
    const correction = timesteps[1];
    const at = (timestep: number, stepIndex: number) => ({
      timestep,
      sigma: sigmaOf(this.#alphasCumprod[timestep]!),
      stepIndex,
      noiseCount: 0,
    });
    const [first, ...others] = timesteps.map(at);
    this.evaluations = [
      first!,
      ...(correction === undefined ? [] : [at(correction, 0)]),
      ...others,
    ];
  }

  scaleModelInput(latents: F32Tensor): F32Tensor {
    return latents;
  }

  addNoise(clean: F32Tensor, noise: F32Tensor, evaluationIndex: number): F32Tensor {
    return addNoise(clean, noise, this.#alphaBar(this.evaluations[evaluationIndex]!.timestep));
  }

  step(
    { guided }: GuidedPrediction,
    evaluationIndex: number,
    { latents, memory }: SamplerState,
  ): SamplerStep {
    const { timestep, stepIndex } = this.evaluations[evaluationIndex]!;
    const { predictionType } = this.#config;
    const alphaBar = this.#alphaBar(timestep);
    const { epsilon, denoised } = epsilonAndDenoised(guided, latents, alphaBar, predictionType);
    const isCorrection = evaluationIndex === 1 && stepIndex === 0;
    if (isCorrection) {
      // Again from the first latents, with the mean of both ends' predictions. Only the first of them is remembered.
      const { before, epsilon_1: first } = memory as Required<typeof memory>;
      const average = lincomb([[1 / 2, epsilon], [1 / 2, first!]]);
      const next = this.#transfer(before!, average, timestep + this.#stride, timestep);
      return { denoised, state: { latents: next, memory: { epsilon_1: first! } } };
    }
    const earlier = EARLIER.flatMap((name) => memory[name] ?? []);
    const factors = MULTISTEP[earlier.length]!;
    const combined = lincomb([epsilon, ...earlier].map((each, i) => [factors[i]!, each] as const));
    const next = this.#transfer(latents, combined, timestep, timestep - this.#stride);
    const remembered = [epsilon, ...earlier].slice(0, EARLIER.length);
    const kept = Object.fromEntries(remembered.map((each, i) => [EARLIER[i]!, each]));
    const before = evaluationIndex === 0 ? { before: latents } : {};
    return { denoised, state: { latents: next, memory: { ...kept, ...before } } };
  }

  /** From one timestep to an earlier one with a given noise prediction (Eq. 11). */
  #transfer(latents: F32Tensor, epsilon: F32Tensor, from: number, to: number): F32Tensor {
    const [alphaBar, alphaBarPrev] = [this.#alphaBar(from), this.#alphaBar(to)];
    const denominator = alphaBar * Math.sqrt(1 - alphaBarPrev) +
      Math.sqrt(alphaBar * (1 - alphaBar) * alphaBarPrev);
    return lincomb([
      [Math.sqrt(alphaBarPrev / alphaBar), latents],
      [-(alphaBarPrev - alphaBar) / denominator, epsilon],
    ]);
  }

  /** Before timestep 0 as `DdimSampler`. */
  #alphaBar(timestep: number): number {
    if (timestep >= 0) return this.#alphasCumprod[timestep]!;
    return this.#config.setAlphaToOne ? 1 : this.#alphasCumprod[0]!;
  }
}
