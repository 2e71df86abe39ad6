/**
 * The families of models that Tutti runs, and what differs between them. What they have in common is told by a model's config.
 *
 * @module
 */

import type { ClipTextConfig } from "./config/clip_config.ts";
import {
  SD15_TEXT,
  SD15_UNET,
  SD15_VAE,
  SDXL_TEXT,
  SDXL_TEXT_2,
  SDXL_UNET,
  SDXL_VAE,
} from "./config/known_configs.ts";
import type { UNetConfig } from "./config/unet_config.ts";
import type { VaeConfig } from "./config/vae_config.ts";

export type Family = "sd15" | "sdxl";

export interface FamilySpec {
  /** Name to show. */
  readonly name: string;
  /** Of the published model. */
  readonly configs: FamilyConfigs;
  /** What the keys of the first text encoder, which have transformers names, begin with in a single file. */
  readonly textPrefix: string;
  /** `_class_name` in the `model_index.json` of a diffusers folder. */
  readonly pipeline: string;
}

export interface FamilyConfigs {
  readonly unet: UNetConfig;
  readonly text: ClipTextConfig;
  /** Of the second text encoder, which has a projection; its pooled states condition the U-Net. */
  readonly text2?: ClipTextConfig;
  readonly vae: VaeConfig;
}

export const FAMILIES: Readonly<Record<Family, FamilySpec>> = {
  sd15: {
    name: "SD1.5",
    configs: { unet: SD15_UNET, text: SD15_TEXT, vae: SD15_VAE },
    textPrefix: "cond_stage_model.transformer.",
    pipeline: "StableDiffusionPipeline",
  },
  sdxl: {
    name: "SDXL",
    configs: { unet: SDXL_UNET, text: SDXL_TEXT, text2: SDXL_TEXT_2, vae: SDXL_VAE },
    textPrefix: "conditioner.embedders.0.transformer.",
    pipeline: "StableDiffusionXLPipeline",
  },
};

/** The families' ids, as commands and messages spell them. */
export const FAMILY_IDS = Object.keys(FAMILIES) as readonly Family[];

export function isFamily(id: string): id is Family {
  return Object.hasOwn(FAMILIES, id);
}
