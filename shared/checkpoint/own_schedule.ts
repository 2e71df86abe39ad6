/**
 * What a model says itself of the noise that it was trained with. A diffusers folder has its scheduler's config; a single file
 * has marks: empty tensors `v_pred` and `ztsnr` (zero terminal SNR), as kohya's scripts, ComfyUI and stable-diffusion-webui
 * write and read them, and words among its metadata. Most files say nothing.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { EDM_NOISE, otherNoise, SAMPLED_MODELS } from "../models/config/other_noise.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  parseSchedulerConfig,
  type SchedulerConfig,
} from "../models/config/scheduler_config.ts";
import type { TensorFile } from "../weight_file/tensor_file.ts";
import { exists } from "./exists.ts";
import { filePredictionType, PREDICTION_KEYS, VELOCITY_MARK } from "./prediction_type.ts";

export interface OwnSchedule {
  readonly config: SchedulerConfig;
  /** Where it says so: `scheduler_config.json`, or marks as `v_pred, ztsnr`. */
  readonly source: string;
}

const CONFIG_NAME = "scheduler_config.json";
const ZERO_SNR_MARK = "ztsnr";
/** As ComfyUI tells EDM models (`comfy/supported_models.py`, `SDXL.model_type`). */
const EDM_MARKS = ["edm_mean", "edm_std", "edm_vpred.sigma_max"];

/**
 * @param folder of the model, with `scheduler/scheduler_config.json` in it or without
 * @throws {FormatError} if the config is damaged, or of a model that Tutti does not sample
 */
export async function folderSchedule(folder: string): Promise<OwnSchedule | undefined> {
  const path = join(folder, "scheduler", CONFIG_NAME);
  if (!await exists(path)) return undefined;
  return { config: parseSchedulerConfig(await ConfigFields.read(path)), source: CONFIG_NAME };
}

/**
 * @param path of the file, for errors
 * @throws {FormatError} if the marks are those of a model that Tutti does not sample
 */
export function fileSchedule(
  file: Pick<TensorFile, "entries" | "metadata">,
  path: string,
): OwnSchedule | undefined {
  const refuse = (what: string) => {
    throw new FormatError(`Checkpoint "${path}" is not supported: ${what}; ${SAMPLED_MODELS}`);
  };
  const edm = EDM_MARKS.find((mark) => file.entries.has(mark));
  if (edm !== undefined) refuse(`its mark "${edm}" is that of ${EDM_NOISE}`);
  for (const key of PREDICTION_KEYS) {
    const word = file.metadata[key] ?? "";
    const other = otherNoise(word);
    if (other !== undefined) refuse(`its metadata "${key}" is "${word}", which is ${other}`);
    if (word.toLowerCase() === "sample") {
      refuse(`its metadata "${key}" is "${word}", a prediction of the clean latents`);
    }
  }
  if (filePredictionType(file) === "epsilon") return undefined;
  const words = PREDICTION_KEYS.filter((key) => file.metadata[key] !== undefined);
  const first = file.entries.has(VELOCITY_MARK) ? VELOCITY_MARK : words[0]!;
  const rescaleBetasZeroSnr = file.entries.has(ZERO_SNR_MARK);
  return {
    config: { ...DEFAULT_SCHEDULER_CONFIG, rescaleBetasZeroSnr, predictionType: "v_prediction" },
    source: rescaleBetasZeroSnr ? `${first}, ${ZERO_SNR_MARK}` : first,
  };
}
