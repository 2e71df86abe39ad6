/** Opens a file of weights by what it holds, whatever its name ends in. @module */

import { basename } from "node:path";
import { SafetensorsFile } from "../safetensors/reader.ts";
import { isZip } from "../torch/zip_index.ts";
import { openTorchFile } from "../torch/torch_file.ts";
import { openRegularFile, readRange } from "./read_range.ts";
import type { TensorFile } from "./tensor_file.ts";
import { withoutWrappers } from "./wrappers.ts";

const ENDINGS = /\.(safetensors|ckpt|pt|pth|bin)$/i;
const SNIFFED_BYTES = 4;

/**
 * Opens a safetensors file or one that `torch.save()` wrote; reads where tensors lie, none of their bytes. What training
 * frameworks put around the model's keys is taken off.
 *
 * @throws {FormatError} if it is neither, or damaged
 */
export async function openWeightFile(path: string): Promise<TensorFile> {
  return withoutWrappers(
    await holdsZip(path) ? await openTorchFile(path) : await SafetensorsFile.open(path),
  );
}

/** The name of a model or LoRA that has one file: without folder and ending. */
export function weightFileName(path: string): string {
  return basename(path).replace(ENDINGS, "");
}

async function holdsZip(path: string): Promise<boolean> {
  using file = await openRegularFile(path);
  const { size } = await file.stat();
  return isZip(await readRange(file, { begin: 0, end: Math.min(size, SNIFFED_BYTES) }, path));
}
