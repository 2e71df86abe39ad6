/**
 * The noise levels that a run goes through, from a model's training noise: where n timesteps lie (`spacing.ts`) or where a
 * formula of sigma puts them, with the last level 0.
 *
 * @module
 */

import { alphasCumprod, sigmaOf } from "./noise_schedule.ts";
import type { SpacedConfig } from "./scheduler_config.ts";
import { fractionalTimesteps } from "./spacing.ts";

export interface NoiseLevels {
  /** n + 1 of them, falling; the run ends at the last. */
  readonly sigmas: readonly number[];
  /** What the model is told at a noise level of the run, or between two. */
  timestepOf(sigma: number): number;
  /** Factor on unit Gaussian noise to make the first latents. */
  readonly initNoiseSigma: number;
}

/** Formulas of sigma. Without one, the levels are those of the timesteps. */
export const SIGMA_SCHEDULES = ["karras"] as const;
export type SigmaSchedule = typeof SIGMA_SCHEDULES[number];

/**
 * As diffusers' Euler schedulers make them.
 *
 * @throws {UsageError} if the number of steps does not fit the training schedule
 */
export function noiseLevels(
  numInferenceSteps: number,
  config: SpacedConfig,
  schedule?: SigmaSchedule,
): NoiseLevels {
  const training = alphasCumprod(config).map(sigmaOf);
  const timesteps = fractionalTimesteps(numInferenceSteps, config);
  const spaced = timesteps.map((t) => linearAt(training, t));
  const sigmas = schedule === "karras"
    ? karrasSigmas(numInferenceSteps, spaced.at(-1)!, spaced[0]!)
    : spaced;
  const logs = training.map(Math.log);
  const own = new Map(
    schedule === undefined ? sigmas.map((sigma, i) => [sigma, timesteps[i]!]) : [],
  );
  const sigmaMax = sigmas[0]!;
  return {
    sigmas: [...sigmas, 0],
    timestepOf: (sigma) => own.get(sigma) ?? timestepAt(logs, sigma),
    // The first of "leading" timesteps is not the last of training: the latents have a signal's variance besides.
    initNoiseSigma: config.timestepSpacing === "leading" ? Math.hypot(sigmaMax, 1) : sigmaMax,
  };
}

/** Eq. 5 of Karras et al. 2022: even steps of sigma^(1/rho) from the largest to the least, rho = 7. */
export function karrasSigmas(n: number, sigmaMin: number, sigmaMax: number, rho = 7): number[] {
  const [from, to] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  return Array.from(
    { length: n },
    (_, i) => (from + (n === 1 ? 0 : i / (n - 1)) * (to - from)) ** rho,
  );
}

/** Between two entries of a table, linearly. */
function linearAt(table: Float64Array, position: number): number {
  const low = Math.min(Math.floor(position), table.length - 2);
  const share = position - low;
  return table[low]! * (1 - share) + table[low + 1]! * share;
}

/** The training timestep of a noise level, linear in log sigma between two, within the training's. */
function timestepAt(logSigmas: Float64Array, sigma: number): number {
  const wanted = Math.log(sigma);
  const above = logSigmas.findIndex((log) => log >= wanted);
  if (above < 0) return logSigmas.length - 1;
  if (above === 0) return 0;
  const [low, high] = [logSigmas[above - 1]!, logSigmas[above]!];
  return above - 1 + (wanted - low) / (high - low);
}
