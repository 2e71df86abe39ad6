/**
 * The formulas that place a run's noise levels, one row each: the only place that knows all of them. Without one, the levels are
 * those of the timesteps that a spacing gives (`noise_levels.ts`).
 *
 * @module
 */

import { betaQuantile } from "./beta_quantile.ts";
import { TIMESTEP_SPACINGS, type TimestepSpacing } from "./spacing.ts";
import type { TrainingLevels } from "./training_levels.ts";

/** Where a run's levels may lie. */
export interface SigmaRange {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly training: TrainingLevels;
}

export interface ScheduleDefinition {
  readonly name: SigmaSchedule;
  /** As stable-diffusion-webui calls it. */
  readonly label: string;
  /** Other names that it is known by, lower case. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** The levels of n steps from the highest down, the last at which the run ends among them; absent where it is a spacing. */
  readonly sigmas?: (n: number, range: SigmaRange) => number[];
}

export type SigmaSchedule =
  | TimestepSpacing
  | "karras"
  | "exponential"
  | "polyexponential"
  | "normal"
  | "simple"
  | "sgm_uniform"
  | "ddim_uniform"
  | "beta"
  | "kl_optimal"
  | "align_your_steps"
  | "align_your_steps_sdxl";

/** Both shapes of the distribution by which `beta` spreads its levels. */
const BETA_SHAPE = 0.6;

/** Sabour et al. 2024, Appendix: ten optimised steps, by model. */
const ALIGN_YOUR_STEPS = {
  sd15: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
  sdxl: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029],
} as const;

export const SCHEDULES: readonly ScheduleDefinition[] = [
  {
    name: "leading",
    label: "Leading",
    aliases: [],
    summary: "even timesteps from the least up: the run begins a stride below the noisiest one",
  },
  {
    name: "linspace",
    label: "Linspace",
    aliases: [],
    summary: "even timesteps with both ends",
  },
  {
    name: "trailing",
    label: "Trailing",
    aliases: [],
    summary: "even timesteps from the noisiest one down: for few steps and zero terminal SNR",
  },
  {
    name: "karras",
    label: "Karras",
    aliases: ["ka", "k", "use_karras_sigmas"],
    summary: "even steps of sigma^(1/7): more of them at little noise",
    sigmas: (n, { sigmaMin, sigmaMax }) => [...karrasSigmas(n, sigmaMin, sigmaMax), 0],
  },
  {
    name: "exponential",
    label: "Exponential",
    aliases: ["exp", "use_exponential_sigmas"],
    summary: "even steps of log sigma",
    sigmas: (n, { sigmaMin, sigmaMax }) => [...polyexponentialSigmas(n, sigmaMin, sigmaMax), 0],
  },
  {
    name: "polyexponential",
    label: "Polyexponential",
    aliases: [],
    summary: "steps of a power of log sigma; with the power 1 that tools take it is exponential",
    sigmas: (n, { sigmaMin, sigmaMax }) => [...polyexponentialSigmas(n, sigmaMin, sigmaMax), 0],
  },
  {
    name: "normal",
    label: "Normal",
    aliases: ["uniform"],
    summary: "even timesteps with both ends, log sigma interpolated between",
    sigmas: (n, { training }) => [
      ...even(n, lastTimestep(training), 0).map((t) => training.logLinearSigmaAt(t)),
      0,
    ],
  },
  {
    name: "simple",
    label: "Simple",
    aliases: [],
    summary: "every (1000 / n)-th level of training, from the highest",
    sigmas: (n, { training: { sigmas } }) => [
      ...range(n).map((i) => sigmas.at(-1 - Math.floor(i * (sigmas.length / n)))!),
      0,
    ],
  },
  {
    name: "sgm_uniform",
    label: "SGM Uniform",
    aliases: ["sgm"],
    summary: "as normal with one step more, without the last",
    sigmas: (n, { training }) => [
      ...even(n + 1, lastTimestep(training), 0).slice(0, -1)
        .map((t) => training.logLinearSigmaAt(t)),
      0,
    ],
  },
  {
    name: "ddim_uniform",
    label: "DDIM",
    aliases: ["ddim"],
    summary: "levels of training in strides of floor(1000 / n), for n that divide 1000",
    sigmas: (n, { training: { sigmas } }) => {
      const stride = Math.max(1, Math.floor(sigmas.length / n));
      return [...sigmas.filter((_, t) => t >= 1 && (t - 1) % stride === 0).reverse(), 0];
    },
  },
  {
    name: "beta",
    label: "Beta",
    aliases: ["use_beta_sigmas"],
    summary:
      "quantiles of Beta(0.6, 0.6) between both ends: more steps at much and at little noise",
    sigmas: (n, { sigmaMin, sigmaMax }) => [
      ...even(n, 1, 0).map((p) =>
        sigmaMin + betaQuantile(p, BETA_SHAPE, BETA_SHAPE) * (sigmaMax - sigmaMin)
      ),
      0,
    ],
  },
  {
    name: "kl_optimal",
    label: "KL Optimal",
    aliases: [],
    summary: "even steps of the angle whose tangent is sigma; ends at the least sigma, not at 0",
    sigmas: (n, { training: { sigmaMin, sigmaMax } }) =>
      even(n + 1, Math.atan(sigmaMax), Math.atan(sigmaMin)).map(Math.tan),
  },
  {
    name: "align_your_steps",
    label: "Align Your Steps",
    aliases: ["ays", "align_your_steps_sd15", "ays_sd15"],
    summary: "levels optimised for SD1.5, log-linear between where steps are not ten",
    sigmas: (n) => [...logLinear(n, ALIGN_YOUR_STEPS.sd15), 0],
  },
  {
    name: "align_your_steps_sdxl",
    label: "Align Your Steps SDXL",
    aliases: ["ays_sdxl"],
    summary: "the same with the levels optimised for SDXL",
    sigmas: (n) => [...logLinear(n, ALIGN_YOUR_STEPS.sdxl), 0],
  },
];

/** The names, for options that take one. */
export const SIGMA_SCHEDULES: readonly SigmaSchedule[] = SCHEDULES.map(({ name }) => name);

/** Whether a schedule is a spacing of timesteps and no formula of sigma. */
export function isSpacing(schedule: SigmaSchedule | undefined): schedule is TimestepSpacing {
  return TIMESTEP_SPACINGS.some((spacing) => spacing === schedule);
}

/** Eq. 5 of Karras et al. 2022: even steps of sigma^(1/rho) from the largest to the least, rho = 7. */
export function karrasSigmas(n: number, sigmaMin: number, sigmaMax: number, rho = 7): number[] {
  const [from, to] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  return range(n).map((i) => (from + (n === 1 ? 0 : i / (n - 1)) * (to - from)) ** rho);
}

/** k-diffusion's `get_sigmas_polyexponential`; with rho 1 it is `get_sigmas_exponential`. */
export function polyexponentialSigmas(
  n: number,
  sigmaMin: number,
  sigmaMax: number,
  rho = 1,
): number[] {
  const [low, high] = [Math.log(sigmaMin), Math.log(sigmaMax)];
  return even(n, 1, 0).map((ramp) => Math.exp(ramp ** rho * (high - low) + low));
}

/** n values of a falling table, linear in their logarithm between two. */
function logLinear(n: number, table: readonly number[]): number[] {
  return even(n, 0, table.length - 1).map((position) => {
    const low = Math.min(Math.floor(position), table.length - 2);
    return table[low]! ** (1 - (position - low)) * table[low + 1]! ** (position - low);
  });
}

/** n even values with both ends; a single one is the first. */
function even(n: number, from: number, to: number): number[] {
  return range(n).map((i) => from + (n === 1 ? 0 : i / (n - 1)) * (to - from));
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function lastTimestep({ sigmas }: TrainingLevels): number {
  return sigmas.length - 1;
}
