/** A `scheduler_config.json` (diffusers), as far as our schedulers read it. @module */

import { ConfigFields } from "../../../shared/models/config/fields.ts";
import type { NoiseScheduleConfig } from "./noise_schedule.ts";
import { TIMESTEP_SPACINGS, type TimestepSpacing } from "./spacing.ts";

export interface SchedulerConfig extends NoiseScheduleConfig {
  readonly stepsOffset: number;
  /** Whether alphaBar before the first timestep is 1, or that of timestep 0. */
  readonly setAlphaToOne: boolean;
  /** `undefined` where the file leaves it to the sampler. */
  readonly timestepSpacing: TimestepSpacing | undefined;
  readonly predictionType: "epsilon" | "v_prediction";
}

/** With a sampler's own spacing where the file has none. */
export interface SpacedConfig extends SchedulerConfig {
  readonly timestepSpacing: TimestepSpacing;
}

/** Keys that equal the defaults of SD1.5's published config may be absent. */
export function parseSchedulerConfig(fields: ConfigFields): SchedulerConfig {
  fields.mustBe("trained_betas", null);
  fields.mustBe("clip_sample", false);
  fields.mustBe("thresholding", false);
  const predictionType = fields.choice("prediction_type", ["epsilon", "v_prediction"], "epsilon");
  // Where there is nothing but noise, a prediction of the noise says nothing about the image.
  if (predictionType !== "v_prediction") fields.mustBe("rescale_betas_zero_snr", false);
  return {
    numTrainTimesteps: fields.count("num_train_timesteps", 1000),
    betaStart: fields.number("beta_start", 0.00085),
    betaEnd: fields.number("beta_end", 0.012),
    betaSchedule: fields.choice("beta_schedule", ["scaled_linear", "linear"], "scaled_linear"),
    rescaleBetasZeroSnr: fields.boolean("rescale_betas_zero_snr", false),
    stepsOffset: fields.index("steps_offset", 1),
    setAlphaToOne: fields.boolean("set_alpha_to_one", false),
    timestepSpacing: fields.has("timestep_spacing")
      ? fields.choice("timestep_spacing", TIMESTEP_SPACINGS)
      : undefined,
    predictionType,
  };
}

/** Of an ensemble that names no scheduler: SD1.5's training noise. */
export const DEFAULT_SCHEDULER_CONFIG: SchedulerConfig = parseSchedulerConfig(
  new ConfigFields({}, "built-in scheduler"),
);

/** @throws {FormatError} if the file is missing, damaged, or asks for a feature that is not built */
export async function readSchedulerConfig(path: string): Promise<SchedulerConfig> {
  return parseSchedulerConfig(await ConfigFields.read(path));
}
