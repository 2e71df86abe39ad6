/** A model's parts as they lie in files: diffusers folders with their configs, and the names in a single file. @module */

import {
  type SingleFileTensor,
  text2SingleFileLayout,
  textSingleFileLayout,
  unetSingleFileLayout,
  vaeSingleFileLayout,
} from "../../shared/checkpoint/single_file_layout.ts";
import {
  clipTextConfigJson,
  type ConfigJson,
  unetConfigJson,
  vaeConfigJson,
} from "../../shared/models/config/config_json.ts";
import { FAMILIES } from "../../shared/models/families.ts";
import {
  type ParameterShapes,
  textParameters,
  unetParameters,
  vaeParameters,
} from "../../shared/models/parameters.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../sampling/samplers/scheduler_config.ts";
import type { ModelConfigs } from "./model_configs.ts";

export interface ModelPart {
  /** Its folder in the diffusers layout. */
  readonly folder: string;
  /** Its weights in that folder. */
  readonly file: string;
  readonly config: ConfigJson;
  readonly parameters: ParameterShapes;
  readonly singleFile: readonly SingleFileTensor[];
}

const DIFFUSERS_FILE = "diffusion_pytorch_model.safetensors";
const TRANSFORMERS_FILE = "model.safetensors";

export function modelParts({ family, unet, text, text2, vae }: ModelConfigs): ModelPart[] {
  const parts = [unetParameters(unet), textParameters(text, false), vaeParameters(vae)] as const;
  const [ofUNet, ofText, ofVae] = parts;
  return [
    {
      folder: "unet",
      file: DIFFUSERS_FILE,
      config: unetConfigJson(unet),
      parameters: ofUNet,
      singleFile: unetSingleFileLayout(unet, ofUNet),
    },
    {
      folder: "text_encoder",
      file: TRANSFORMERS_FILE,
      config: clipTextConfigJson(text, false),
      parameters: ofText,
      singleFile: textSingleFileLayout(family, ofText),
    },
    ...(text2 ? [secondTextPart(text2)] : []),
    {
      folder: "vae",
      file: DIFFUSERS_FILE,
      config: vaeConfigJson(vae),
      parameters: ofVae,
      singleFile: vaeSingleFileLayout(vae, ofVae),
    },
  ];
}

function secondTextPart(config: NonNullable<ModelConfigs["text2"]>): ModelPart {
  const parameters = textParameters(config, true);
  return {
    folder: "text_encoder_2",
    file: TRANSFORMERS_FILE,
    config: clipTextConfigJson(config, true),
    parameters,
    singleFile: text2SingleFileLayout(parameters),
  };
}

/** What the diffusers layout holds besides its parts, by path. */
export function diffusersFiles(
  family: ModelConfigs["family"],
): Readonly<Record<string, ConfigJson>> {
  const schedule = DEFAULT_SCHEDULER_CONFIG;
  return {
    "model_index.json": { _class_name: FAMILIES[family].pipeline },
    "scheduler/scheduler_config.json": {
      _class_name: "DDIMScheduler",
      num_train_timesteps: schedule.numTrainTimesteps,
      beta_start: schedule.betaStart,
      beta_end: schedule.betaEnd,
      beta_schedule: schedule.betaSchedule,
      clip_sample: false,
      set_alpha_to_one: schedule.setAlphaToOne,
      steps_offset: schedule.stepsOffset,
      timestep_spacing: schedule.timestepSpacing,
      prediction_type: schedule.predictionType,
    },
  };
}
