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
import type { KnownMerge } from "../merging/merged_file.ts";
import type { Recipe } from "../merging/recipe_file.ts";
import type { Family } from "../models/families.ts";
import type { WeightTable } from "../models/weights.ts";
import { openDiffusersFolder } from "./diffusers_folder.ts";
import { modelFolder } from "./model_folder.ts";
import type { OwnSchedule } from "./own_schedule.ts";
import type { PredictionType } from "./prediction_type.ts";
import { openSingleFile } from "./single_file.ts";
import { weightFileName } from "../weight_file/open_weight_file.ts";
import type { FileStamps } from "../weight_file/file_stamps.ts";

export interface Part<C> {
  readonly config: C;
  readonly weights: WeightTable;
}

/** Path of a diffusers folder or a single `.safetensors` file, or the merge that takes the place of a file. */
export type ModelSource = string | Recipe;

export interface Checkpoint {
  /** For messages. */
  readonly path: string;
  readonly name: string;
  /** Where no file holds the weights: their locations are in the file that the merge would be written to. */
  readonly merged?: KnownMerge;
  /** Of the merge's input files, since before they were hashed. */
  readonly mergedStamps?: FileStamps;
  /** Of a merge: hashes of the models that it is made of. */
  readonly mergedFrom?: readonly string[];
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
  /** Diffusers folder whose `config.json`s describe a single file of unusual sizes, or its U-Net's config alone. */
  readonly configFrom?: string;
}

/**
 * Opens a diffusers folder, a single file of weights, or a merge; reads headers and configs only, and of a merge the hashes
 * of its inputs.
 *
 * @throws {FormatError} if it is none of these, is of a family that Tutti does not run, or is damaged
 */
export async function openCheckpoint(
  source: ModelSource,
  options: OpenOptions = {},
): Promise<Checkpoint> {
  if (typeof source === "string") return await openPath(source, options);
  // Few models are merges.
  const { openMergedCheckpoint } = await import("../merging/merged_checkpoint.ts");
  return await openMergedCheckpoint(source, options);
}

async function openPath(path: string, options: OpenOptions): Promise<Checkpoint> {
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
