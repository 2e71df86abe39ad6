/**
 * What a model predicts, noise or velocity. A diffusers folder says it in its scheduler's config; a single file has no
 * config, only two customs: a marker tensor `v_pred`, and `modelspec.prediction_type` among the metadata
 * (Stability's model specification). Without either it is noise, as for nearly all files.
 *
 * @module
 */

import { join } from "node:path";
import { ConfigFields } from "../models/config/fields.ts";
import type { SafetensorsFile } from "../safetensors/reader.ts";
import { exists } from "./exists.ts";

export type PredictionType = "epsilon" | "v_prediction";

const MARKER = "v_pred";
const METADATA_KEY = "modelspec.prediction_type";
const VELOCITY_WORDS = ["v", "v_prediction", "v-prediction"];

/**
 * @param folder of the model, with `scheduler/scheduler_config.json` in it or without
 * @throws {FormatError} if the config names another prediction
 */
export async function folderPredictionType(folder: string): Promise<PredictionType> {
  const file = join(folder, "scheduler", "scheduler_config.json");
  if (!await exists(file)) return "epsilon";
  const fields = await ConfigFields.read(file);
  return fields.choice("prediction_type", ["epsilon", "v_prediction"], "epsilon");
}

export function filePredictionType(
  { entries, metadata }: Pick<SafetensorsFile, "entries" | "metadata">,
): PredictionType {
  const isVelocity = entries.has(MARKER) ||
    VELOCITY_WORDS.includes((metadata[METADATA_KEY] ?? "").toLowerCase());
  return isVelocity ? "v_prediction" : "epsilon";
}

/** What a single file says of it in its metadata; nothing for noise, which all take a file for that is silent. */
export function predictionMetadata(type: PredictionType): Readonly<Record<string, string>> {
  return type === "epsilon" ? {} : { [METADATA_KEY]: "v" };
}
