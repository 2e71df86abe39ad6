/**
 * An expert's checkpoint as its parts: each part (U-Net, text encoder) is a parsed config and a table that says
 * where every tensor's bytes lie, under diffusers keys. The two layouts that people have, a diffusers
 * folder and a single file, end here; nothing above this knows which one it was. The VAE is the ensemble's, not the expert's: `vae_checkpoint.ts`.
 *
 * @module
 */

import { basename } from "node:path";
import { FormatError } from "../errors.ts";
import type { ClipTextConfig } from "../models/config/clip_config.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import type { Family } from "../models/families.ts";
import type { WeightTable } from "../models/weights.ts";
import { openDiffusersFolder } from "./diffusers_folder.ts";
import { modelFolder } from "./model_folder.ts";
import type { OwnSchedule } from "./own_schedule.ts";
import type { PredictionType } from "./prediction_type.ts";
import { openSingleFile } from "./single_file.ts";
import { weightFileName } from "../weight_file/open_weight_file.ts";

export interface Part<C> {
  readonly config: C;
  readonly weights: WeightTable;
}

export interface Checkpoint {
  readonly path: string;
  readonly name: string;
  readonly family: Family;
  readonly predictionType: PredictionType;
  /** Absent where the model says nothing of it. */
  readonly ownSchedule?: OwnSchedule;
  readonly unet: Part<UNetConfig>;
  /** A file may hold the U-Net alone. */
  readonly text?: Part<ClipTextConfig>;
  /** SDXL's second text encoder, whose pooled output conditions the U-Net, too. */
  readonly text2?: Part<ClipTextConfig>;
}

export interface OpenOptions {
  /** Diffusers folder whose `config.json`s describe a single file of unusual sizes. */
  readonly configFrom?: string;
}

/**
 * Opens a diffusers folder or a single file of weights; reads headers and configs only.
 *
 * @throws {FormatError} if it is neither, is of a family that Tutti does not run, or is damaged
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    throw new FormatError(`Cannot open model "${path}": ${(cause as Error).message}`, { cause });
  }
  const name = info.isDirectory ? basename(path) : weightFileName(path);
  const parts = info.isDirectory
    ? await openDiffusersFolder(await modelFolder(path))
    : await openSingleFile(path, options);
  return { path, name, ...parts };
}
