/**
 * Samplers over noise levels (Karras et al. 2022, as in k-diffusion): the latents are `x = x_0 + sigma z`, and a solver knows
 * nothing of the model but its estimate of the clean latents. What all of them have in common is here; a solver is a file of
 * its own.
 *
 * diffusers runs half of its schedulers on `sqrt(alphaBar) x` instead, which is `x / sqrt(sigma^2 + 1)`. The equations are the same
 * ones with that factor on both sides, and so is what the U-Net is given; only x itself differs. One space is enough, and in
 * this one every coefficient is a ratio of sigmas. A run that ends above 0 ends with diffusers' latents times
 * `sqrt(sigma^2 + 1)`, which at the least sigma of training is 1.0004.
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

/** A step on the list of noise levels. */
export interface SolverStep {
  /** Of the whole run, falling. */
  readonly sigmas: readonly number[];
  readonly stepIndex: number;
  /** Where the step begins: `sigmas[stepIndex]`, or above it with churn. */
  readonly sigma: number;
  readonly sigmaNext: number;
}

/** One evaluation of the model in a step. */
export interface SolverCall {
  readonly sigma: number;
  /** How many noise tensors it takes, that of churn among them. @default 0 */
  readonly noiseCount?: number;
  /** Deviation of noise that is added to x before the evaluation: the first of the call's. @default none */
  readonly churn?: number;
}

/** What a solver is told after an evaluation. */
export interface SolverInput extends SolverStep {
  /** What was evaluated, f32 `[B, 4, H, W]`. */
  readonly x: F32Tensor;
  /** The model's estimate of x_0 there. */
  readonly denoised: F32Tensor;
  readonly memory: SamplerState["memory"];
  /** Without that of churn. */
  readonly noise: readonly F32Tensor[];
  /** Which of the step's calls this was, counted from 0. */
  readonly call: number;
  /** The sigma of that call: where x was evaluated. */
  readonly at: number;
}

export interface Solver {
  /** The evaluations of a step, the first at the step's own sigma. */
  calls(step: SolverStep): readonly SolverCall[];
  step(input: SolverInput): SamplerState;
}

export interface SigmaSamplerOptions {
  readonly name: string;
  readonly solver: Solver;
  readonly levels: NoiseLevels;
  readonly predictionType: PredictionType;
}

export class SigmaSampler implements Sampler {
  readonly name: string;
  readonly evaluations: readonly Evaluation[];
  readonly initNoiseSigma: number;
  /** The run's noise levels: one more than steps. */
  readonly sigmas: readonly number[];
  readonly #solver: Solver;
  readonly #calls: readonly (SolverCall & { readonly step: SolverStep; readonly index: number })[];
  readonly #predictionType: PredictionType;

  constructor({ name, solver, levels, predictionType }: SigmaSamplerOptions) {
    const { sigmas, timestepOf, initNoiseSigma } = levels;
    this.name = name;
    this.initNoiseSigma = initNoiseSigma;
    this.sigmas = sigmas;
    this.#solver = solver;
    this.#predictionType = predictionType;
    this.#calls = sigmas.slice(0, -1).flatMap((sigma, stepIndex) => {
      const step = { sigmas, stepIndex, sigma, sigmaNext: sigmas[stepIndex + 1]! };
      return solver.calls(step).map((call, index) => ({ ...call, step, index }));
    });
    this.evaluations = this.#calls.map(({ sigma, noiseCount = 0, step: { stepIndex } }) => ({
      timestep: timestepOf(sigma),
      sigma,
      stepIndex,
      noiseCount,
    }));
  }

  /** `x / sqrt(sigma^2 + 1)`: back to the size that the U-Net was trained on. */
  scaleModelInput(
    latents: F32Tensor,
    evaluationIndex: number,
    noise: readonly F32Tensor[],
  ): F32Tensor {
    const { sigma } = this.evaluations[evaluationIndex]!;
    return lincomb([[1 / Math.hypot(sigma, 1), this.#churned(latents, evaluationIndex, noise)]]);
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
    const { sigma, churn, step, index: call } = this.#calls[evaluationIndex]!;
    const x = this.#churned(latents, evaluationIndex, noise);
    const denoised = denoisedOf(guided, x, sigma, this.#predictionType);
    const own = churn === undefined ? noise : noise.slice(1);
    const input = { ...step, x, denoised, memory, noise: own, call, at: sigma };
    return { denoised, state: this.#solver.step(input) };
  }

  #churned(
    latents: F32Tensor,
    evaluationIndex: number,
    [noise]: readonly F32Tensor[],
  ): F32Tensor {
    const { churn = 0 } = this.#calls[evaluationIndex]!;
    return churn > 0 ? lincomb([[1, latents], [churn, noise!]]) : latents;
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
