/**
 * Samplers over noise levels (Karras et al. 2022, as in k-diffusion): the latents are `x = x_0 + sigma z`, and a solver knows
 * nothing of the model but its estimate of the clean latents. What all of them have in common is here; a solver is a file of
 * its own.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { PredictionType } from "../prediction.ts";
import type { NoiseLevels } from "./noise_levels.ts";
import type {
  Evaluation,
  GuidedPrediction,
  Sampler,
  SamplerState,
  SamplerStep,
} from "./sampler.ts";

/** One evaluation of the model in a step. */
export interface SolverCall {
  readonly sigma: number;
  /** @default 0 */
  readonly noiseCount?: number;
}

/** What a solver is told after an evaluation. */
export interface SolverInput {
  /** What was evaluated, f32 `[B, 4, H, W]`. */
  readonly x: F32Tensor;
  /** The model's estimate of x_0 there. */
  readonly denoised: F32Tensor;
  readonly memory: SamplerState["memory"];
  readonly noise: readonly F32Tensor[];
  /** The step goes from `sigma` to `sigmaNext`; its calls are counted from 0. */
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly call: number;
}

export interface Solver {
  readonly name: string;
  /** The evaluations of a step, the first at the step's own sigma. */
  calls(sigma: number, sigmaNext: number): readonly SolverCall[];
  step(input: SolverInput): SamplerState;
}

export class SigmaSampler implements Sampler {
  readonly name: string;
  readonly evaluations: readonly Evaluation[];
  readonly initNoiseSigma: number;
  readonly #solver: Solver;
  readonly #sigmas: readonly number[];
  readonly #predictionType: PredictionType;

  constructor(solver: Solver, levels: NoiseLevels, predictionType: PredictionType) {
    const { sigmas, timestepOf } = levels;
    this.name = solver.name;
    this.initNoiseSigma = levels.initNoiseSigma;
    this.#solver = solver;
    this.#sigmas = sigmas;
    this.#predictionType = predictionType;
    this.evaluations = sigmas.slice(0, -1).flatMap((sigma, stepIndex) =>
      solver.calls(sigma, sigmas[stepIndex + 1]!).map((call) => ({
        timestep: timestepOf(call.sigma),
        sigma: call.sigma,
        stepIndex,
        noiseCount: call.noiseCount ?? 0,
      }))
    );
  }

  /** `x / sqrt(sigma^2 + 1)`: back to the size that the U-Net was trained on. */
  scaleModelInput(latents: F32Tensor, evaluationIndex: number): F32Tensor {
    return lincomb([[1 / Math.hypot(this.evaluations[evaluationIndex]!.sigma, 1), latents]]);
  }

  addNoise(clean: F32Tensor, noise: F32Tensor, evaluationIndex: number): F32Tensor {
    return lincomb([[1, clean], [this.evaluations[evaluationIndex]!.sigma, noise]]);
  }

  step(
    { guided }: GuidedPrediction,
    evaluationIndex: number,
    { latents, memory }: SamplerState,
    noise: readonly F32Tensor[],
  ): SamplerStep {
    const { sigma: evaluated, stepIndex } = this.evaluations[evaluationIndex]!;
    const denoised = denoisedOf(guided, latents, evaluated, this.#predictionType);
    const call = evaluationIndex -
      this.evaluations.findIndex((each) => each.stepIndex === stepIndex);
    const [sigma, sigmaNext] = [this.#sigmas[stepIndex]!, this.#sigmas[stepIndex + 1]!];
    return {
      denoised,
      state: this.#solver.step({ x: latents, denoised, memory, noise, sigma, sigmaNext, call }),
    };
  }
}

/** The clean latents in `x = x_0 + sigma z`, from what the U-Net predicted for `x / sqrt(sigma^2 + 1)`. */
export function denoisedOf(
  modelOutput: F32Tensor,
  x: F32Tensor,
  sigma: number,
  predictionType: PredictionType,
): F32Tensor {
  switch (predictionType) {
    case "epsilon":
      return lincomb([[1, x], [-sigma, modelOutput]]);
    case "v_prediction":
      return lincomb([[1 / (sigma ** 2 + 1), x], [-sigma / Math.hypot(sigma, 1), modelOutput]]);
  }
}
