/** From a solver and what a job says to a sampler on noise levels. @module */

import { type Churn, withChurn } from "./churn.ts";
import { type FinalSigma, multistepLevels, type NoiseLevels, noiseLevels } from "./noise_levels.ts";
import type { Sampler } from "./sampler.ts";
import type { SpacedConfig } from "./scheduler_config.ts";
import { SigmaSampler, type Solver } from "./sigma_sampler.ts";
import type { SigmaSchedule } from "./sigma_schedules.ts";

export interface BuildOptions {
  readonly name: string;
  readonly steps: number;
  readonly config: SpacedConfig;
  /** As `config` has it, if it is a spacing. */
  readonly schedule: SigmaSchedule | undefined;
  readonly eta: number;
  readonly churn: Churn | undefined;
}

/** On the levels of diffusers' Euler schedulers. */
export function onNoiseLevels(solver: Solver, options: BuildOptions): Sampler {
  const { steps, config, schedule, churn } = options;
  const churned = churn ? withChurn(solver, churn) : solver;
  return onLevels(churned, options, noiseLevels(steps, config, schedule));
}

/** On those of its DPM-Solver, DEIS and UniPC schedulers. */
export function onMultistepLevels(
  solver: Solver,
  options: BuildOptions,
  final: FinalSigma = "zero",
): Sampler {
  const { steps, config, schedule } = options;
  return onLevels(solver, options, multistepLevels(steps, config, { schedule, final }));
}

export function onLevels(
  solver: Solver,
  { name, config: { predictionType } }: BuildOptions,
  levels: NoiseLevels,
): Sampler {
  return new SigmaSampler({ name, solver, levels, predictionType });
}
