/**
 * A `scheduler_config.json` (diffusers): the noise that a model was trained with, what it predicts, and where a run's
 * timesteps lie unless somebody says otherwise. What it says of its own sampler is not read.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { ConfigFields } from "./fields.ts";
import { refuseOtherNoise } from "./other_noise.ts";

export const BETA_SCHEDULES = ["scaled_linear", "linear"] as const;
export const TIMESTEP_SPACINGS = ["leading", "linspace", "trailing"] as const;
export const PREDICTION_TYPES = ["epsilon", "v_prediction"] as const;
export type TimestepSpacing = typeof TIMESTEP_SPACINGS[number];

/** What a model was trained with. */
export interface NoiseScheduleConfig {
  readonly numTrainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: typeof BETA_SCHEDULES[number];
  /** The betas themselves, one for each timestep, instead of a formula's. */
  readonly trainedBetas?: readonly number[];
  /** Whether the last timestep is pure noise (zero terminal SNR), which only a velocity says anything about. */
  readonly rescaleBetasZeroSnr: boolean;
}

export interface SchedulerConfig extends NoiseScheduleConfig {
  readonly stepsOffset: number;
  /** Whether alphaBar before the first timestep is 1, or that of timestep 0. */
  readonly setAlphaToOne: boolean;
  /** `undefined` where the file leaves it to the sampler. */
  readonly timestepSpacing: TimestepSpacing | undefined;
  readonly predictionType: typeof PREDICTION_TYPES[number];
}

/** More timesteps than any model was trained with. */
export const MAX_TRAIN_TIMESTEPS = 100_000;

/**
 * Keys that equal the defaults of SD1.5's published config may be absent.
 *
 * @throws {FormatError} if a key is wrong, or the model's noise is of another kind than samplers here know
 */
export function parseSchedulerConfig(fields: ConfigFields): SchedulerConfig {
  refuseOtherNoise(fields);
  fields.mustBe("thresholding", false, null);
  const predictionType = fields.choice("prediction_type", PREDICTION_TYPES, "epsilon");
  // Where there is nothing but noise, a prediction of the noise says nothing about the image.
  if (predictionType !== "v_prediction") fields.mustBe("rescale_betas_zero_snr", false, null);
  const trainedBetas = fields.has("trained_betas") ? fields.shares("trained_betas") : undefined;
  return {
    numTrainTimesteps: trainTimesteps(fields, trainedBetas),
    betaStart: fields.share("beta_start", 0.00085),
    betaEnd: fields.share("beta_end", 0.012),
    betaSchedule: fields.choice("beta_schedule", BETA_SCHEDULES, "scaled_linear"),
    ...(trainedBetas && { trainedBetas }),
    rescaleBetasZeroSnr: fields.boolean("rescale_betas_zero_snr", false),
    stepsOffset: fields.index("steps_offset", 1),
    setAlphaToOne: fields.boolean("set_alpha_to_one", false),
    timestepSpacing: fields.has("timestep_spacing")
      ? fields.choice("timestep_spacing", TIMESTEP_SPACINGS)
      : undefined,
    predictionType,
  };
}

/** Of a model that says nothing, in an ensemble that names no scheduler: SD1.5's training noise. */
export const DEFAULT_SCHEDULER_CONFIG: SchedulerConfig = parseSchedulerConfig(
  new ConfigFields({}, "built-in scheduler"),
);

function trainTimesteps(fields: ConfigFields, trainedBetas?: readonly number[]): number {
  const given = trainedBetas?.length ?? 1000;
  const count = fields.whole("num_train_timesteps", 2, MAX_TRAIN_TIMESTEPS, given);
  if (count === given || !trainedBetas) return count;
  throw new FormatError(
    `Config "${fields.path}": "trained_betas" must be a list of ${count}, one for each of "num_train_timesteps": ` +
      `current length is ${given}`,
  );
}
