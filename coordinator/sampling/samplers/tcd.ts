/**
 * Trajectory consistency distillation's sampler (Zheng et al. 2024, Algorithm 4; diffusers `scheduling_tcd.py`, whose `eta` is the paper's
 * gamma): each step goes down to a timestep s below the next one along the ODE, and new noise brings it up to the next level.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative } from "./euler.ts";
import type { NoiseScheduleConfig } from "../../../shared/models/config/scheduler_config.ts";
import type { Solver } from "./sigma_sampler.ts";
import { TrainingLevels } from "./training_levels.ts";

/** With `s = floor((1 - gamma) t)` for the next step's timestep t. */
export function tcdOfTraining(config: NoiseScheduleConfig, gamma: number): Solver {
  const training = new TrainingLevels(config);
  return tcd((sigmaNext) => {
    const timestep = Math.round(training.timestepOf(sigmaNext));
    return training.sigmas[Math.floor((1 - gamma) * timestep)]!;
  });
}

/** @param downOf the level of s for the next step's level */
function tcd(downOf: (sigmaNext: number) => number): Solver {
  return {
    calls: ({ sigma, sigmaNext }) => [
      { sigma, noiseCount: downOf(sigmaNext) < sigmaNext ? 1 : 0 },
    ],
    step({ x, denoised, noise: [noise], sigma, sigmaNext }) {
      const down = downOf(sigmaNext);
      const up = Math.sqrt(sigmaNext ** 2 - down ** 2);
      return {
        latents: lincomb([
          [1, denoised],
          [down, derivative(x, denoised, sigma)],
          ...(noise ? [[up, noise] as const] : []),
        ]),
        memory: {},
      };
    },
  };
}
