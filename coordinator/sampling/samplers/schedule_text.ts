/** A model's schedule in a few words, for people who know it from other tools. @module */

import { DEFAULT_SCHEDULER_CONFIG, type SchedulerConfig } from "./scheduler_config.ts";

/** `v-prediction, zero terminal SNR`: what it predicts, then all that is not as Stable Diffusion 1.5 was published. */
export function scheduleText(config: SchedulerConfig): string {
  const usual = DEFAULT_SCHEDULER_CONFIG;
  const { rescaleBetasZeroSnr, timestepSpacing, stepsOffset, setAlphaToOne } = config;
  const betas = betasText(config);
  return [
    config.predictionType === "v_prediction" ? "v-prediction" : "noise prediction",
    ...(rescaleBetasZeroSnr ? ["zero terminal SNR"] : []),
    ...(betas === betasText(usual) ? [] : [betas]),
    ...(timestepSpacing === undefined ? [] : [`${timestepSpacing} timesteps`]),
    ...(stepsOffset === usual.stepsOffset ? [] : [`steps offset ${stepsOffset}`]),
    ...(setAlphaToOne ? ["alphas to one"] : []),
  ].join(", ");
}

/** `scaled_linear betas 0.00085..0.012`, with the number of timesteps where that is not 1000. */
export function betasText(
  { betaSchedule, betaStart, betaEnd, numTrainTimesteps, trainedBetas }: SchedulerConfig,
): string {
  const usual = DEFAULT_SCHEDULER_CONFIG.numTrainTimesteps;
  const [name, first, last] = trainedBetas
    ? ["trained", trainedBetas[0]!, trainedBetas.at(-1)!]
    : [betaSchedule, betaStart, betaEnd];
  const count = numTrainTimesteps === usual ? "" : ` for ${numTrainTimesteps} timesteps`;
  return `${name} betas ${first}..${last}${count}`;
}

/** What is to be told of a file's mark of zero terminal SNR without one of velocity. */
export function ignoredMark(mark: string): string {
  return `${mark} (zero terminal SNR) has no effect, as nothing says that the model predicts velocity (v_pred): if its ` +
    "pictures are noise, name a folder with its scheduler/scheduler_config.json as --config of its worker";
}
