/**
 * The noise levels that a run goes through, from a model's training noise: where n timesteps lie (`spacing.ts`) or where a
 * formula of sigma puts them (`sigma_schedules.ts`).
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import type { SpacedConfig } from "./scheduler_config.ts";
import { SCHEDULES, type SigmaRange, type SigmaSchedule } from "./sigma_schedules.ts";
import {
  distilledTimesteps,
  fractionalTimesteps,
  multistepTimesteps,
  roundHalfToEven,
  spacedTimesteps,
} from "./spacing.ts";
import { TrainingLevels } from "./training_levels.ts";

export { SIGMA_SCHEDULES, type SigmaSchedule } from "./sigma_schedules.ts";

export interface NoiseLevels {
  /** One more than steps, falling; the run ends at the last. */
  readonly sigmas: readonly number[];
  /** What the model is told at a noise level of the run, or between two. */
  timestepOf(sigma: number): number;
  /** Factor on unit Gaussian noise to make the first latents. */
  readonly initNoiseSigma: number;
}

/**
 * As diffusers' Euler schedulers make them: fractional timesteps, sigma linear between two, and a formula stretches between the
 * ends that the timesteps have. The last level is 0 (with `kl_optimal` the least sigma).
 *
 * @throws {UsageError} if the number of steps does not fit the training schedule
 */
export function noiseLevels(
  numInferenceSteps: number,
  config: SpacedConfig,
  schedule?: SigmaSchedule,
): NoiseLevels {
  const training = new TrainingLevels(config);
  const timesteps = fractionalTimesteps(numInferenceSteps, config);
  const spaced = timesteps.map((t) => training.sigmaAt(t));
  const ends = { sigmaMin: spaced.at(-1)!, sigmaMax: spaced[0]!, training };
  const sigmas = placedLevels(schedule, numInferenceSteps, ends);
  const own = sigmas ? [] : spaced.map((sigma, i) => [sigma, timesteps[i]!] as const);
  const sigmaMax = (sigmas ?? spaced)[0]!;
  return {
    sigmas: sigmas ?? [...spaced, 0],
    timestepOf: knownOr(own, (sigma) => training.timestepOf(sigma)),
    // The first of "leading" timesteps is not the last of training: the latents have a signal's variance besides.
    initNoiseSigma: config.timestepSpacing === "leading" ? Math.hypot(sigmaMax, 1) : sigmaMax,
  };
}

/** Where a run ends: at no noise, or at the least of training. */
export type FinalSigma = "zero" | "sigma_min";

/**
 * As diffusers' DPM-Solver, DEIS and UniPC schedulers make them: whole timesteps, of which one more than steps is taken and the last
 * is dropped, and a formula stretches over all of the training's levels; what the model is told is rounded.
 *
 * @throws {UsageError} if the number of steps does not fit the training schedule
 */
export function multistepLevels(
  numInferenceSteps: number,
  config: SpacedConfig,
  { schedule, final = "zero" }: {
    readonly schedule?: SigmaSchedule | undefined;
    readonly final?: FinalSigma;
  } = {},
): NoiseLevels {
  const training = new TrainingLevels(config);
  const { sigmaMin, sigmaMax } = training;
  const placed = placedLevels(schedule, numInferenceSteps, { sigmaMin, sigmaMax, training }, final);
  // A formula has a level for every training timestep, where whole timesteps need one more.
  const timesteps = placed
    ? spacedTimesteps(numInferenceSteps, config)
    : multistepTimesteps(numInferenceSteps, config);
  const spaced = timesteps.map((t) => training.sigmas[t]!);
  const own = placed ? [] : spaced.map((sigma, i) => [sigma, timesteps[i]!] as const);
  const sigmas = placed ?? [...spaced, final === "zero" ? 0 : sigmaMin];
  return {
    sigmas,
    timestepOf: knownOr(own, (sigma) => roundHalfToEven(training.timestepOf(sigma))),
    initNoiseSigma: Math.hypot(sigmas[0]!, 1),
  };
}

/**
 * Those of samplers for distilled models: timesteps out of the few that such models know, and the end.
 *
 * @throws {UsageError} if the number of steps does not fit
 */
export function distilledLevels(
  numInferenceSteps: number,
  config: SpacedConfig,
  final: FinalSigma,
): NoiseLevels {
  const training = new TrainingLevels(config);
  const timesteps = distilledTimesteps(numInferenceSteps, config);
  const spaced = timesteps.map((t) => training.sigmas[t]!);
  return {
    sigmas: [...spaced, final === "zero" ? 0 : training.sigmaMin],
    timestepOf: knownOr(
      spaced.map((sigma, i) => [sigma, timesteps[i]!]),
      (sigma) => training.timestepOf(sigma),
    ),
    initNoiseSigma: Math.hypot(spaced[0]!, 1),
  };
}

/** Tells rounding from a level above another. */
const NEARLY = 1.001;

/**
 * The levels of n steps by a formula of sigma; `undefined` where the schedule is none.
 *
 * @throws {UsageError} if the formula has another number of steps
 */
function placedLevels(
  schedule: SigmaSchedule | undefined,
  n: number,
  range: SigmaRange,
  final: FinalSigma = "zero",
): number[] | undefined {
  const place = SCHEDULES.find(({ name }) => name === schedule)?.sigmas;
  if (!place) return undefined;
  const levels = place(n, range);
  const steps = levels.length - 1;
  if (steps !== n) {
    throw new UsageError(
      `--steps must be a number for which the schedule "${schedule}" has as many: current value is ${n}, and it has ${steps}`,
    );
  }
  if (final === "zero" || levels.at(-1)! > 0) return levels;
  // A run that is not to reach 0 ends at the least sigma. Where a formula stands there before 0, one step more does.
  const isThere = levels.at(-2)! < range.sigmaMin * NEARLY;
  return isThere ? place(n + 1, range).slice(0, -1) : [...levels.slice(0, -1), range.sigmaMin];
}

function knownOr(
  known: readonly (readonly [number, number])[],
  otherwise: (sigma: number) => number,
): (sigma: number) => number {
  const timesteps = new Map(known);
  return (sigma) => timesteps.get(sigma) ?? otherwise(sigma);
}
