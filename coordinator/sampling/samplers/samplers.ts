/**
 * The samplers that users can name, one row each: the only place that knows all of them.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import { DdimSampler } from "./ddim.ts";
import { EULER } from "./euler.ts";
import { eulerAncestral } from "./euler_ancestral.ts";
import { HEUN } from "./heun.ts";
import { noiseLevels, type SigmaSchedule } from "./noise_levels.ts";
import { PndmSampler } from "./pndm.ts";
import type { Sampler } from "./sampler.ts";
import type { SchedulerConfig, SpacedConfig } from "./scheduler_config.ts";
import { SigmaSampler, type Solver } from "./sigma_sampler.ts";
import type { TimestepSpacing } from "./spacing.ts";

export interface SamplerOptions {
  readonly steps: number;
  /** Of the model's training noise. */
  readonly config: SchedulerConfig;
  /** Where the noise levels come from. @default the timesteps that the config's spacing gives */
  readonly schedule?: SigmaSchedule;
  /** Share of noise that is drawn anew in each step. @default the sampler's own */
  readonly eta?: number;
}

export interface SamplerDefinition {
  readonly name: string;
  /** As stable-diffusion-webui calls it. */
  readonly label: string;
  /** Other names that it is known by, lower case. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Where the model's config leaves the spacing open. */
  readonly spacing: TimestepSpacing;
  /** The share of new noise without `eta`; `undefined` for a sampler that never takes any. */
  readonly eta?: number;
  /** Whether its noise levels may come from a formula of sigma. */
  readonly takesSchedule: boolean;
  build(options: SamplerOptions & { readonly config: SpacedConfig }): Sampler;
}

export const SAMPLERS: readonly SamplerDefinition[] = [
  {
    name: "ddim",
    label: "DDIM",
    aliases: ["ddimscheduler"],
    summary: "the paper's evaluator: first order, deterministic unless eta is above 0",
    spacing: "leading",
    eta: 0,
    takesSchedule: false,
    build: ({ steps, config, eta }) => new DdimSampler(steps, config, eta),
  },
  {
    name: "pndm",
    label: "PLMS",
    aliases: ["plms", "pndmscheduler", "k_plms"],
    summary: "linear multistep of order 4, as Stable Diffusion 1.5 was published with",
    spacing: "leading",
    takesSchedule: false,
    build: ({ steps, config }) => new PndmSampler(steps, config),
  },
  {
    name: "euler",
    label: "Euler",
    aliases: ["k_euler", "sample_euler", "eulerdiscretescheduler"],
    summary: "first order on the noise levels, deterministic",
    spacing: "linspace",
    takesSchedule: true,
    build: (options) => onNoiseLevels(EULER, options),
  },
  {
    name: "euler_a",
    label: "Euler a",
    aliases: [
      "euler_ancestral",
      "k_euler_a",
      "k_euler_ancestral",
      "eulerancestraldiscretescheduler",
    ],
    summary: "Euler with new noise in every step: more steps are another picture",
    spacing: "linspace",
    eta: 1,
    takesSchedule: true,
    build: (options) =>
      onNoiseLevels(eulerAncestral(options.eta === undefined ? {} : { eta: options.eta }), options),
  },
  {
    name: "heun",
    label: "Heun",
    aliases: ["k_heun", "sample_heun", "heundiscretescheduler"],
    summary: "second order, two evaluations a step",
    spacing: "linspace",
    takesSchedule: true,
    build: (options) => onNoiseLevels(HEUN, options),
  },
];

/** What a job means that names none, and always meant. */
export const DEFAULT_SAMPLER = "ddim";

/**
 * A sampler by one of its names; case, spaces and hyphens do not count.
 *
 * @throws {UsageError} with the nearest name and the list
 */
export function findSampler(text: string): SamplerDefinition {
  const wanted = plainName(text);
  const found = SAMPLERS.find(({ name, label, aliases }) =>
    [name, label, ...aliases].some((each) => plainName(each) === wanted)
  );
  if (found) return found;
  const names = SAMPLERS.map(({ name }) => name);
  throw new UsageError(
    `The sampler must be one of ${names.join(", ")}: current value is "${text}"` +
      didYouMean(text.toLowerCase(), names),
  );
}

/** @throws {UsageError} if the sampler is not known, or does not take what it is given */
export function createSampler(name: string, options: SamplerOptions): Sampler {
  const definition = findSampler(name);
  const { eta, schedule, config } = options;
  if (eta !== undefined && definition.eta === undefined) {
    throw new UsageError(`eta is for samplers that draw noise: ${definition.name} never does`);
  }
  if (schedule !== undefined && !definition.takesSchedule) {
    throw new UsageError(
      `The schedule "${schedule}" is for samplers on noise levels: ${definition.name} visits timesteps`,
    );
  }
  return definition.build({ ...options, config: spacedConfig(definition, config) });
}

/** The config with the sampler's own spacing where it leaves that open, as diffusers does it. */
export function spacedConfig(
  { spacing }: Pick<SamplerDefinition, "spacing">,
  config: SchedulerConfig,
): SpacedConfig {
  return { ...config, timestepSpacing: config.timestepSpacing ?? spacing };
}

function onNoiseLevels(
  solver: Solver,
  { steps, config, schedule }: SamplerOptions & { readonly config: SpacedConfig },
): Sampler {
  return new SigmaSampler(solver, noiseLevels(steps, config, schedule), config.predictionType);
}

function plainName(text: string): string {
  return text.toLowerCase().replaceAll(/[\s_-]/g, "");
}
