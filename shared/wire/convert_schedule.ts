/** The noise that a model was trained with, as a NoiseSchedule and back. @module */

import { DISTILLED_SAMPLERS, type OwnSchedule } from "../checkpoint/own_schedule.ts";
import {
  BETA_SCHEDULES,
  MAX_TRAIN_TIMESTEPS,
  type SchedulerConfig,
  TIMESTEP_SPACINGS,
} from "../models/config/scheduler_config.ts";
import type { Fields, Message } from "./fields.ts";

/** A source is one line for people. */
const MAX_SOURCE_CHARS = 200;

export function scheduleToMessage(
  { config, source, madeFor, ignored }: OwnSchedule,
): Message {
  const { trainedBetas = [], timestepSpacing = "", predictionType: _, ...others } = config;
  const texts = { source, madeFor: madeFor ?? "", ignored: ignored ?? "" };
  return { ...others, trainedBetas, timestepSpacing, ...texts };
}

/** @throws {TuttiError} INVALID_ARGUMENT naming the field */
export function scheduleFromFields(
  fields: Fields,
  predictionType: SchedulerConfig["predictionType"],
): OwnSchedule {
  const trainedBetas = fields.numbers("trainedBetas", MAX_TRAIN_TIMESTEPS);
  const numTrainTimesteps = fields.whole("numTrainTimesteps", 2, MAX_TRAIN_TIMESTEPS);
  const isEmpty = trainedBetas.length === 0;
  if (!isEmpty && (trainedBetas.length !== numTrainTimesteps || !trainedBetas.every(isBeta))) {
    fields.fail("trainedBetas", `${numTrainTimesteps} numbers above 0 and below 1, or none`);
  }
  const rescaleBetasZeroSnr = fields.flag("rescaleBetasZeroSnr");
  if (rescaleBetasZeroSnr && predictionType !== "v_prediction") {
    fields.fail("rescaleBetasZeroSnr", `false for a prediction of "${predictionType}"`);
  }
  return {
    source: fields.text("source", MAX_SOURCE_CHARS),
    ...(fields.text("madeFor") !== "" && {
      madeFor: fields.oneOf("madeFor", DISTILLED_SAMPLERS),
    }),
    ...(fields.text("ignored") !== "" && { ignored: fields.text("ignored", MAX_SOURCE_CHARS) }),
    // In the order in which a file's is read: conditions of runs are compared as text.
    config: {
      numTrainTimesteps,
      betaStart: betaOf(fields, "betaStart"),
      betaEnd: betaOf(fields, "betaEnd"),
      betaSchedule: fields.oneOf("betaSchedule", BETA_SCHEDULES),
      ...(!isEmpty && { trainedBetas }),
      rescaleBetasZeroSnr,
      stepsOffset: fields.whole("stepsOffset", 0),
      setAlphaToOne: fields.flag("setAlphaToOne"),
      timestepSpacing: fields.text("timestepSpacing") === ""
        ? undefined
        : fields.oneOf("timestepSpacing", TIMESTEP_SPACINGS),
      predictionType,
    },
  };
}

function betaOf(fields: Fields, field: string): number {
  const beta = fields.number(field);
  return isBeta(beta) ? beta : fields.fail(field, "a number above 0 and below 1");
}

function isBeta(value: number): boolean {
  return 0 < value && value < 1;
}
