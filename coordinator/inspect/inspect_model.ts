/**
 * What a model file or folder holds, and whether Tutti can run it: read from headers and configs, weights are only hashed.
 *
 * @module
 */

import { basename } from "node:path";
import { type Checkpoint, openCheckpoint, type Part } from "../../shared/checkpoint/checkpoint.ts";
import { fileHash, modelHash, weightPaths } from "../../shared/checkpoint/model_hash.ts";
import { FormatError } from "../../shared/errors.ts";
import type { ClipTextConfig } from "../../shared/models/config/clip_config.ts";
import type { VaeConfig } from "../../shared/models/config/vae_config.ts";
import { FAMILIES, type Family } from "../../shared/models/families.ts";
import { buildText, buildUNet, buildVae } from "../../shared/models/parameters.ts";
import { Weights, type WeightTable } from "../../shared/models/weights.ts";
import type { DType } from "../../shared/tensor/dtype.ts";
import { elementCount } from "../../shared/tensor/tensor.ts";
import { type BlockRow, describeBlocks } from "./describe_blocks.ts";
import { type LeftOver, leftOver } from "./left_over.ts";
import { findVae } from "./find_vae.ts";
import {
  type PictureRun,
  type PredictedMemory,
  predictMemory,
  usualRun,
} from "./predict_memory.ts";

export interface Inspection {
  readonly path: string;
  readonly layout: "single file" | "diffusers folder";
  readonly family: Family;
  readonly predictionType: Checkpoint["predictionType"];
  /** What the model says of the noise that it was trained with; absent where it says nothing. */
  readonly ownSchedule?: Checkpoint["ownSchedule"];
  readonly parts: readonly PartReport[];
  /** Parts that a whole model has and this one has not. */
  readonly missing: readonly string[];
  readonly files: readonly FileReport[];
  /** What a worker answers with: over the files of U-Net and text encoders. */
  readonly modelHash: string;
  /** Latent size that the model was trained at. */
  readonly sampleSize: number;
  /** None for a U-Net that does not fit: they would be another architecture's. */
  readonly blocks: readonly BlockRow[];
  /** None for a U-Net that does not fit. */
  readonly memory?: PredictedMemory;
  /** Tensors of a single file that belong to no part. */
  readonly leftOver: LeftOver;
}

export interface PartReport {
  readonly part: string;
  readonly parameters: number;
  readonly sizeBytes: number;
  /** What weights are stored as, the most common one first. */
  readonly dtypes: readonly DType[];
  /** Why the part cannot run: keys that are missing, mis-shaped or unknown. */
  readonly problem?: string;
}

export interface FileReport {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface InspectOptions {
  /** Folder with the `config.json`s of a single file of unusual sizes. */
  readonly configFrom?: string;
  /** What memory is predicted for. @default one picture of the model's own size with guidance, in f32 */
  readonly run?: Partial<PictureRun>;
  /** Told before a file is hashed, which takes seconds for large ones. */
  readonly onHash?: (path: string, sizeBytes: number) => void;
}

/** @throws {FormatError} if it is no model, is damaged, or is of a family that Tutti does not run */
export async function inspectModel(
  path: string,
  { configFrom, run, onHash }: InspectOptions = {},
): Promise<Inspection> {
  const checkpoint = await openCheckpoint(path, configFrom === undefined ? {} : { configFrom });
  const { family, predictionType, ownSchedule, unet, text, text2 } = checkpoint;
  const isFolder = (await Deno.stat(path)).isDirectory;
  const vae = await findVae(path, isFolder, configFrom);
  const expert = [unet, text, text2].flatMap((part) => part ? [part.weights] : []);
  const tables = vae ? [...expert, vae.weights] : expert;
  const parts = describeParts(checkpoint, vae);
  const fits = parts[0]!.problem === undefined;
  const files = await describeFiles(weightPaths(...tables), onHash);
  return {
    path,
    layout: isFolder ? "diffusers folder" : "single file",
    family,
    predictionType,
    ...(ownSchedule && { ownSchedule }),
    parts,
    missing: [
      ...(text ? [] : ["text encoder"]),
      ...(text2 || !FAMILIES[family].configs.text2 ? [] : ["text encoder 2"]),
      ...(vae ? [] : ["VAE"]),
    ],
    files,
    modelHash: await modelHash(weightPaths(...expert)),
    sampleSize: unet.config.sampleSize,
    blocks: fits ? describeBlocks(unet) : [],
    ...(fits && { memory: predictMemory(checkpoint, { ...usualRun(checkpoint), ...run }) }),
    leftOver: isFolder ? { emaCopies: 0, emaBytes: 0, others: [] } : await leftOver(path, tables),
  };
}

function describeParts(
  { unet, text, text2 }: Checkpoint,
  vae: Part<VaeConfig> | undefined,
): PartReport[] {
  return [
    describePart("U-Net", unet.weights, (weights) => buildUNet(unet.config, weights)),
    ...(text ? [describeText("text encoder", text, text2 === undefined)] : []),
    ...(text2 ? [describeText("text encoder 2", text2, true)] : []),
    ...(vae ? [describePart("VAE", vae.weights, (weights) => buildVae(vae.config, weights))] : []),
  ];
}

/** @param isLast whether its pooled output is the model's: the first of two encoders needs no projection */
function describeText(
  part: string,
  { config, weights: table }: Part<ClipTextConfig>,
  isLast: boolean,
): PartReport {
  const isProjected = isLast &&
    [...table.keys()].some((key) => /^text_projection(\.weight)?$/.test(key));
  return describePart(part, table, (weights) => buildText(config, weights, isProjected));
}

function describePart(
  part: string,
  table: WeightTable,
  build: (weights: Weights) => void,
): PartReport {
  const weights = Weights.of(table);
  build(weights);
  const problem = problemOf(part, weights);
  // What the architecture has no use for (buffers of old exports) is not counted.
  const locations = [...table].flatMap(([key, location]) =>
    weights.demanded.has(key) ? [location] : []
  );
  const counts = new Map<DType, number>();
  for (const { dtype } of locations) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  return {
    part,
    parameters: locations.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    sizeBytes: locations.reduce((sum, { length }) => sum + length, 0),
    dtypes: [...counts].sort(([, a], [, b]) => b - a).map(([dtype]) => dtype),
    ...(problem !== undefined && { problem }),
  };
}

function problemOf(part: string, weights: Weights): string | undefined {
  try {
    weights.check(part);
    return undefined;
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

async function describeFiles(
  paths: readonly string[],
  onHash: InspectOptions["onHash"],
): Promise<FileReport[]> {
  const files: FileReport[] = [];
  for (const path of paths) {
    const { size: sizeBytes } = await Deno.stat(path);
    onHash?.(basename(path), sizeBytes);
    files.push({ path, sizeBytes, sha256: await fileHash(path) });
  }
  return files;
}
