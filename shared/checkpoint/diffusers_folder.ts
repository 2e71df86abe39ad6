/** A model in the diffusers layout: one folder per part, each with `config.json` and weights. @module */

import { join } from "node:path";
import { exists } from "./exists.ts";
import { type ClipTextConfig, parseClipTextConfig } from "../models/config/clip_config.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { parseUNetConfig, type UNetConfig } from "../models/config/unet_config.ts";
import { parseVaeConfig, type VaeConfig } from "../models/config/vae_config.ts";
import type { Checkpoint, Part } from "./checkpoint.ts";
import { familyOfConfig, notSupported } from "./family.ts";
import { modernClipKey } from "./keymaps/clip.ts";
import { modernVaeKey } from "./keymaps/vae.ts";
import { folderSchedule } from "./own_schedule.ts";
import { CONTROLNET_NAME, LCM_NAME } from "./relatives.ts";
import { readPartWeights } from "./weight_files.ts";

type Parts = Omit<Checkpoint, "path" | "name">;

/**
 * Opens `unet/` (or the folder itself, if it is one) and, if there, `text_encoder/` and `text_encoder_2/`; `scheduler/`, if
 * there, says what the model predicts and with what noise it was trained.
 *
 * @throws {FormatError} on a missing or damaged part, and on models that Tutti does not run
 */
export async function openDiffusersFolder(path: string): Promise<Parts> {
  if (await isUNetFolder(path)) return await openUNetAlone(path);
  if (await exists(join(path, "transformer")) && !await exists(join(path, "unet"))) {
    throw notSupported(path, "a transformer model, as FLUX and Stable Diffusion 3 are");
  }
  const ownSchedule = await folderSchedule(path);
  await refuseRelative(join(path, "unet"));
  const unet = await openUNetFolder(join(path, "unet"));
  const [textFolder, text2Folder] = [join(path, "text_encoder"), join(path, "text_encoder_2")];
  return {
    family: familyOfConfig(unet.config, path),
    predictionType: ownSchedule?.config.predictionType ?? "epsilon",
    ...(ownSchedule && { ownSchedule }),
    unet,
    ...(await exists(textFolder) && { text: await openTextFolder(textFolder) }),
    ...(await exists(text2Folder) && { text2: await openTextFolder(text2Folder) }),
  };
}

/** Whether this is the U-Net's own folder, not that of a model. */
async function isUNetFolder(path: string): Promise<boolean> {
  const config = join(path, "config.json");
  if (await exists(join(path, "unet")) || !await exists(config)) return false;
  return (await ConfigFields.read(config)).has("down_block_types");
}

/** The scheduler, which says what a model predicts, lies beside its U-Net. */
async function openUNetAlone(path: string): Promise<Parts> {
  await refuseRelative(path);
  const ownSchedule = await folderSchedule(join(path, ".."));
  const unet = await openUNetFolder(path);
  return {
    family: familyOfConfig(unet.config, path),
    predictionType: ownSchedule?.config.predictionType ?? "epsilon",
    ...(ownSchedule && { ownSchedule }),
    unet,
  };
}

/** Names models whose U-Net needs what none of ours has, before their config is refused field by field. */
async function refuseRelative(path: string): Promise<void> {
  const file = join(path, "config.json");
  if (!await exists(file)) return;
  const fields = await ConfigFields.read(file);
  if (fields.has("conditioning_embedding_out_channels")) throw notSupported(path, CONTROLNET_NAME);
  if (fields.has("time_cond_proj_dim")) throw notSupported(path, LCM_NAME);
  if (fields.isNull("mid_block_type")) {
    throw notSupported(path, "SSD-1B, Vega or a model of their kind, an SDXL with fewer layers");
  }
}

/** A text encoder's folder: `config.json` and weights. */
export async function openTextFolder(folder: string): Promise<Part<ClipTextConfig>> {
  return {
    config: parseClipTextConfig(await ConfigFields.read(join(folder, "config.json"))),
    weights: await readPartWeights(folder, modernClipKey),
  };
}

/** A U-Net's folder: `config.json` and weights. */
export async function openUNetFolder(folder: string): Promise<Part<UNetConfig>> {
  return {
    config: parseUNetConfig(await ConfigFields.read(join(folder, "config.json"))),
    weights: await readPartWeights(folder),
  };
}

/** A VAE's folder: `config.json` and weights, in today's or old names. */
export async function openVaeFolder(folder: string): Promise<Part<VaeConfig>> {
  return {
    config: parseVaeConfig(await ConfigFields.read(join(folder, "config.json"))),
    weights: await readPartWeights(folder, modernVaeKey),
  };
}
