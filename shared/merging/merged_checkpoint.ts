/** A merge as an expert's checkpoint: the tables of weights of the file that it would be written to. @module */

import type { Checkpoint, OpenOptions } from "../checkpoint/checkpoint.ts";
import { modelHash } from "../checkpoint/model_hash.ts";
import { predictionMetadata } from "../checkpoint/prediction_type.ts";
import { singleFileParts } from "../checkpoint/single_file.ts";
import { COMPUTED } from "../onnx/graph.ts";
import { FileStamps } from "../weight_file/file_stamps.ts";
import { FolderModel } from "./folder_model.ts";
import { mergeHash } from "./merge_hash.ts";
import { MergedFile } from "./merged_file.ts";
import type { Recipe } from "./recipe_file.ts";

/**
 * @param options without a folder of configs, that of the first input that is a diffusers folder
 * @throws {TuttiError} as `openMerge()`
 */
export async function openMergedCheckpoint(
  { name, merge, dtype }: Recipe,
  { configFrom }: OpenOptions = {},
): Promise<Checkpoint> {
  const stored = { merge, ...(dtype && { dtype }) };
  using file = await MergedFile.open(stored);
  const { model, inputs } = file.opened;
  const { entries } = file;
  const folder = configFrom ??
    [...inputs.values()].find((input) => input instanceof FolderModel)?.name;
  const { family, predictionType } = model;
  const metadata = predictionMetadata(predictionType);
  const mergedStamps = FileStamps.of([...inputs.values()].flatMap(({ paths }) => paths));
  const source = { name, path: COMPUTED, entries, metadata, family };
  return {
    ...{ path: name, name, mergedStamps },
    ...await singleFileParts(source, folder === undefined ? {} : { configFrom: folder }),
    merged: { ...stored, hash: await mergeHash(file.opened, dtype) },
    mergedFrom: await Promise.all([...inputs.values()].map(({ paths }) => modelHash(paths))),
  };
}
