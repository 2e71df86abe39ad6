/**
 * What a single file predicts, noise or velocity. It has no config, only customs: a marker tensor `v_pred`, and a word among
 * the metadata (Stability's model specification, ComfyUI's key for it, and kohya's flag). Without either it is noise, as for nearly all files.
 *
 * @module
 */

import type { SchedulerConfig } from "../models/config/scheduler_config.ts";
import type { TensorFile } from "../weight_file/tensor_file.ts";

export type PredictionType = SchedulerConfig["predictionType"];

export const VELOCITY_MARK = "v_pred";
export const PREDICTION_KEYS = ["modelspec.prediction_type", "modelspec.predict_key"] as const;
/** `True` where kohya's trainers trained a velocity. */
export const VELOCITY_FLAG = "ss_v_parameterization";
const VELOCITY_WORDS = ["v", "v_prediction", "v-prediction"];

export function filePredictionType(
  { entries, metadata }: Pick<TensorFile, "entries" | "metadata">,
): PredictionType {
  const isVelocity = entries.has(VELOCITY_MARK) || metadata[VELOCITY_FLAG] === "True" ||
    PREDICTION_KEYS.some((key) => VELOCITY_WORDS.includes((metadata[key] ?? "").toLowerCase()));
  return isVelocity ? "v_prediction" : "epsilon";
}

/** What a single file says of it in its metadata; nothing for noise, which all take a file for that is silent. */
export function predictionMetadata(type: PredictionType): Readonly<Record<string, string>> {
  return type === "epsilon" ? {} : { [PREDICTION_KEYS[0]]: "v" };
}
