/** Makes a sampler from its name and what a job says about it. @module */

import { UsageError } from "../../../shared/errors.ts";
import type { Churn } from "./churn.ts";
import { findSampler, takesSchedule } from "./find_sampler.ts";
import type { Sampler } from "./sampler.ts";
import { type SamplerDefinition, SAMPLERS } from "./sampler_table.ts";
import type { SchedulerConfig, SpacedConfig } from "./scheduler_config.ts";
import { isSpacing, type SigmaSchedule } from "./sigma_schedules.ts";

export { findSampler } from "./find_sampler.ts";
export { DEFAULT_SAMPLER, SAMPLERS } from "./sampler_table.ts";

export interface SamplerOptions {
  readonly steps: number;
  /** Of the model's training noise. */
  readonly config: SchedulerConfig;
  /** Where the noise levels come from. @default that of a joined name, or the timesteps that the config's spacing gives */
  readonly schedule?: SigmaSchedule;
  /** Share of noise that is drawn anew in each step. @default the sampler's own */
  readonly eta?: number;
  /** Noise before steps. @default none */
  readonly churn?: Churn;
}

/** @throws {UsageError} if the sampler is not known, or does not take what it is given */
export function createSampler(text: string, options: SamplerOptions): Sampler {
  const definition = findSampler(text);
  const { name, label } = definition;
  const { steps, config, eta, churn } = options;
  if (eta !== undefined && definition.eta === undefined) {
    throw new UsageError(`eta is for samplers with a share of new noise: ${name} has none`);
  }
  if (churn !== undefined && !definition.takesChurn) {
    const takers = SAMPLERS.filter(({ takesChurn }) => takesChurn).map(({ name }) => name);
    throw new UsageError(`churn is for ${takers.join(", ")}: current sampler is ${name}`);
  }
  if (definition.schedule && options.schedule && definition.schedule !== options.schedule) {
    throw new UsageError(
      `The schedule of "${label}" must be ${definition.schedule}: current value is "${options.schedule}"`,
    );
  }
  const schedule = options.schedule ?? definition.schedule;
  if (schedule !== undefined && !takesSchedule(definition, schedule)) {
    throw new UsageError(
      `The schedule "${schedule}" is for samplers on noise levels: ${name} visits timesteps`,
    );
  }
  if (config.rescaleBetasZeroSnr && config.predictionType !== "v_prediction") {
    throw new UsageError(
      `Zero terminal SNR must go with v_prediction: current prediction is ${config.predictionType}`,
    );
  }
  return definition.build({
    name,
    steps,
    config: isSpacing(schedule)
      ? { ...config, timestepSpacing: schedule }
      : spacedConfig(definition, config),
    schedule,
    eta: eta ?? definition.eta ?? 0,
    churn,
  });
}

/** The config with the sampler's own spacing where it leaves that open, as diffusers does it. */
export function spacedConfig(
  { spacing }: Pick<SamplerDefinition, "spacing">,
  config: SchedulerConfig,
): SpacedConfig {
  return { ...config, timestepSpacing: config.timestepSpacing ?? spacing };
}
