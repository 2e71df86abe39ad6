/**
 * The schedule that an ensemble is sampled and trained with. Its experts look at the same latents, so those that are asked must
 * have been trained with the same noise, and predict the same. Where timesteps lie is only a habit: the first expert's that has one.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { isSaid } from "../../shared/checkpoint/own_schedule.ts";
import { type Candidate, requireEqual } from "../cluster/handshake.ts";
import { betasText } from "../sampling/samplers/schedule_text.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../sampling/samplers/scheduler_config.ts";
import type { Ensemble } from "./ensemble.ts";
import { expertNames } from "./expert_names.ts";

export interface AgreedSchedule {
  readonly config: SchedulerConfig;
  /** Who says so: `photo's scheduler_config.json`; absent where nobody does. */
  readonly source?: string;
}

/**
 * The file that the ensemble names decides all but what is predicted, then what the experts say themselves; else it is SD1.5's.
 *
 * @param asked experts that may be asked, by index. @default all
 * @throws {TuttiError} FAILED_PRECONDITION naming what two of them disagree in, both values and both places
 */
export function agreedSchedule(
  { members, schedulerConfig }: Pick<Ensemble, "members" | "schedulerConfig">,
  asked: readonly number[] = members.map((_, i) => i),
): AgreedSchedule {
  const [first, ...others] = asked.map((i) => {
    const { where, expert: { description } } = members[i]!;
    return { where, description };
  });
  for (const other of others) requireSameNoise(first!, other, schedulerConfig !== undefined);
  const { predictionType } = first!.description;
  if (schedulerConfig) {
    return { config: { ...schedulerConfig, predictionType }, source: "the ensemble's scheduler" };
  }
  const speaker = asked.find((i) => isSaid(members[i]!.expert.description.ownSchedule));
  if (speaker === undefined) return { config: { ...DEFAULT_SCHEDULER_CONFIG, predictionType } };
  const { config, source } = members[speaker]!.expert.description.ownSchedule!;
  return {
    config: { ...config, predictionType },
    source: `${expertNames(members)[speaker]}'s ${source}`,
  };
}

function requireSameNoise(first: Candidate, other: Candidate, isNoiseGiven: boolean): void {
  requireEqual(
    "predictionType",
    [first, first.description.predictionType],
    [other, other.description.predictionType],
  );
  if (isNoiseGiven) return;
  const [a, b] = [noiseOf(first), noiseOf(other)];
  requireEqual(
    "rescaleBetasZeroSnr (zero terminal SNR)",
    [first, a.rescaleBetasZeroSnr],
    [other, b.rescaleBetasZeroSnr],
  );
  if (isDeepStrictEqual(trainingNoise(a), trainingNoise(b))) return;
  const [text, otherText] = [betasText(a), betasText(b)];
  if (text !== otherText) return requireEqual("betas", [first, text], [other, otherText]);
  // Two lists with the same ends.
  const at = a.trainedBetas!.findIndex((beta, t) => beta !== b.trainedBetas![t]);
  requireEqual(`trained_betas[${at}]`, [first, a.trainedBetas![at]], [other, b.trainedBetas![at]]);
}

/** Of an expert that says nothing: Stable Diffusion's. */
function noiseOf({ description }: Candidate): SchedulerConfig {
  return description.ownSchedule?.config ?? DEFAULT_SCHEDULER_CONFIG;
}

/** What the noise of training follows from. */
function trainingNoise(config: SchedulerConfig): unknown {
  const { numTrainTimesteps, betaStart, betaEnd, betaSchedule, trainedBetas } = config;
  return trainedBetas ?? [numTrainTimesteps, betaStart, betaEnd, betaSchedule];
}
