/**
 * The constants of the training noise process that all samplers share (DDPM, Ho et al. 2020, with the
 * betas of latent diffusion), in f64.
 *
 * @module
 */

import type { NoiseScheduleConfig } from "../../../shared/models/config/scheduler_config.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

/**
 * beta_t: evenly spaced square roots, squared (`scaled_linear`), or evenly spaced (`linear`), unless the config lists them; for zero
 * terminal SNR those that the rescaled alphaBar follows from.
 */
export function betas(config: NoiseScheduleConfig): Float64Array {
  if (!config.rescaleBetasZeroSnr) return plainBetas(config);
  const rescaled = alphasCumprod(config);
  return rescaled.map((alphaBar, t) => 1 - alphaBar / (t === 0 ? 1 : rescaled[t - 1]!));
}

/** alphaBar_t = prod_{s <= t} (1 - beta_s), rescaled where the config says so. */
export function alphasCumprod(config: NoiseScheduleConfig): Float64Array {
  let product = 1;
  const alphas = plainBetas(config).map((beta) => product *= 1 - beta);
  return config.rescaleBetasZeroSnr ? rescaleZeroTerminalSnr(alphas) : alphas;
}

function plainBetas(
  { numTrainTimesteps, betaStart, betaEnd, betaSchedule, trainedBetas }: NoiseScheduleConfig,
): Float64Array {
  if (trainedBetas) return Float64Array.from(trainedBetas);
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

/** sqrt(alphaBar) is shifted so that its last is 0, and stretched so that its first stays (Lin et al. 2023, Algorithm 1). */
function rescaleZeroTerminalSnr(alphas: Float64Array): Float64Array {
  const roots = alphas.map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  return roots.map((root) => ((root - last) * first / (first - last)) ** 2);
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
