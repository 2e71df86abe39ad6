/**
 * The constants of the training noise process that all samplers share (DDPM, Ho et al. 2020, with the
 * betas of latent diffusion), in f64.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export interface NoiseScheduleConfig {
  readonly numTrainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: "scaled_linear" | "linear";
}

/** beta_t: evenly spaced square roots, squared (`scaled_linear`), or evenly spaced (`linear`). */
export function betas(
  { numTrainTimesteps, betaStart, betaEnd, betaSchedule }: NoiseScheduleConfig,
): Float64Array {
  const between = (from: number, to: number, t: number) =>
    from + (to - from) * t / (numTrainTimesteps - 1);
  return Float64Array.from(
    { length: numTrainTimesteps },
    (_, t) =>
      betaSchedule === "linear"
        ? between(betaStart, betaEnd, t)
        : between(Math.sqrt(betaStart), Math.sqrt(betaEnd), t) ** 2,
  );
}

/** alphaBar_t = prod_{s <= t} (1 - beta_s) */
export function alphasCumprod(config: NoiseScheduleConfig): Float64Array {
  let product = 1;
  return betas(config).map((beta) => product *= 1 - beta);
}

/** sigma_t = sqrt((1 - alphaBar_t) / alphaBar_t): the noise level where the signal keeps its size (VE). */
export function sigmaOf(alphaBar: number): number {
  return Math.sqrt((1 - alphaBar) / alphaBar);
}

/** `x_t = sqrt(alphaBar) x_0 + sqrt(1 - alphaBar) epsilon` (DDPM Eq. 4): what the U-Net is trained on. */
export function addNoise(clean: F32Tensor, noise: F32Tensor, alphaBar: number): F32Tensor {
  return lincomb([[Math.sqrt(alphaBar), clean], [Math.sqrt(1 - alphaBar), noise]]);
}

/** `v = sqrt(alphaBar) epsilon - sqrt(1 - alphaBar) x_0` (Salimans and Ho 2022). */
export function velocity(clean: F32Tensor, noise: F32Tensor, alphaBar: number): F32Tensor {
  return lincomb([[Math.sqrt(alphaBar), noise], [-Math.sqrt(1 - alphaBar), clean]]);
}
