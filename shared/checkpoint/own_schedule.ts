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
import {
  filePredictionType,
  PREDICTION_KEYS,
  VELOCITY_FLAG,
  VELOCITY_MARK,
} from "./prediction_type.ts";
import { REFINER_NAME } from "./relatives.ts";

export interface OwnSchedule {
  readonly config: SchedulerConfig;
  /** Where it says so: `scheduler_config.json`, or marks as `v_pred, ztsnr`. */
  readonly source: string;
  /** The sampler of the few steps that it was distilled for, where its scheduler is that one. */
  readonly madeFor?: DistilledSampler;
  /** A mark that nothing follows from, as the model does not say what it needs beside. */
  readonly ignored?: string;
}

/** diffusers' schedulers that are of use to distilled models alone, by the samplers' names here. */
const DISTILLED = { LCMScheduler: "lcm", TCDScheduler: "tcd" } as const;
export type DistilledSampler = typeof DISTILLED[keyof typeof DISTILLED];
export const DISTILLED_SAMPLERS = Object.values(DISTILLED) as readonly DistilledSampler[];

const CONFIG_NAME = "scheduler_config.json";
const ZERO_SNR_MARK = "ztsnr";
/** As kohya's trainers write it. */
const ZERO_SNR_FLAG = "ss_zero_terminal_snr";
/** Of Stability's model specification. */
const ARCHITECTURE_KEY = "modelspec.architecture";
/** As ComfyUI tells EDM models (`comfy/supported_models.py`, `SDXL.model_type`). */
const EDM_MARKS = ["edm_mean", "edm_std", "edm_vpred.sigma_max"];

/**
 * @param folder of the model, with `scheduler/scheduler_config.json` in it or without
 * @throws {FormatError} if the config is damaged, or of a model that Tutti does not sample
 */
export async function folderSchedule(folder: string): Promise<OwnSchedule | undefined> {
  const path = join(folder, "scheduler", CONFIG_NAME);
  if (!await exists(path)) return undefined;
  const fields = await ConfigFields.read(path);
  const madeFor = (DISTILLED as Readonly<Record<string, DistilledSampler>>)[
    fields.text("_class_name", "")
  ];
  return {
    config: parseSchedulerConfig(fields),
    source: CONFIG_NAME,
    ...(madeFor && { madeFor }),
  };
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
  const architecture = file.metadata[ARCHITECTURE_KEY] ?? "";
  if (/refiner/i.test(architecture)) {
    refuse(`its metadata "${ARCHITECTURE_KEY}" is "${architecture}", ${REFINER_NAME}`);
  }
  for (const key of PREDICTION_KEYS) {
    const word = file.metadata[key] ?? "";
    const other = otherNoise(word);
    if (other !== undefined) refuse(`its metadata "${key}" is "${word}", which is ${other}`);
    if (word.toLowerCase() === "sample") {
      refuse(`its metadata "${key}" is "${word}", a prediction of the clean latents`);
    }
  }
  const zero = file.entries.has(ZERO_SNR_MARK)
    ? ZERO_SNR_MARK
    : file.metadata[ZERO_SNR_FLAG] === "True"
    ? ZERO_SNR_FLAG
    : undefined;
  if (filePredictionType(file) === "epsilon") {
    // As in ComfyUI, which looks for it beside v_pred alone.
    return zero === undefined
      ? undefined
      : { config: DEFAULT_SCHEDULER_CONFIG, source: zero, ignored: zero };
  }
  const words = [...PREDICTION_KEYS, VELOCITY_FLAG].filter((key) =>
    file.metadata[key] !== undefined
  );
  const first = file.entries.has(VELOCITY_MARK) ? VELOCITY_MARK : words[0]!;
  return {
    config: {
      ...DEFAULT_SCHEDULER_CONFIG,
      rescaleBetasZeroSnr: zero !== undefined,
      predictionType: "v_prediction",
    },
    source: zero === undefined ? first : `${first}, ${zero}`,
  };
}

/** Whether a model says of its noise what holds: an ignored mark leaves it to others. */
export function isSaid(schedule: OwnSchedule | undefined): schedule is OwnSchedule {
  return schedule !== undefined && schedule.ignored === undefined;
}
