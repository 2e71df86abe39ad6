/**
 * A single file against the folder of the same weights: after key mapping every tensor of every part must be equal bit for bit
 * once both are f32.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import type { WeightLocation, WeightTable } from "../../../shared/models/weights.ts";
import { tensorFromBytes, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext } from "../context.ts";
import type { SingleFile } from "../manifest.ts";

export async function checkSingleFile(
  context: FamilyContext,
  spec: SingleFile,
): Promise<Comparison[]> {
  const file = context.path(spec.file);
  const folder = await modelFolder(context.path(spec.same_weights_as));
  const configFrom = await modelFolder(context.path(spec.config_from));
  const [single, parts] = await Promise.all([
    openCheckpoint(file, { configFrom }),
    openCheckpoint(folder),
  ]);
  const comparisons = [
    ...await compareTables("unet", single.unet.weights, parts.unet.weights),
    ...await compareTables("text_encoder", single.text?.weights, parts.text?.weights),
    ...await compareTables("text_encoder_2", single.text2?.weights, parts.text2?.weights),
  ];
  if (spec.vae !== undefined) {
    const vaeFolder = context.path(spec.vae);
    const [inFile, inFolder] = await Promise.all([openVae(file, vaeFolder), openVae(vaeFolder)]);
    comparisons.push(...await compareTables("vae", inFile.weights, inFolder.weights));
  }
  return comparisons;
}

/** A manifest may name a model's folder, or its `unet/` where there is nothing else. */
async function modelFolder(folder: string): Promise<string> {
  return await exists(join(folder, "config.json")) ? dirname(folder) : folder;
}

/** Keys that only one side has are infinitely different. */
async function compareTables(
  part: string,
  actual: WeightTable = new Map(),
  expected: WeightTable = new Map(),
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const key of new Set([...actual.keys(), ...expected.keys()])) {
    const [ours, theirs] = [actual.get(key), expected.get(key)];
    const tensor = `${part}.${key}`;
    if (!ours || !theirs) comparisons.push({ tensor, relativeL2: Infinity, maxAbs: Infinity });
    else {
      // 1x1 convolutions and matrices hold the same elements: the shape is the folder's.
      const widened = { ...await readF32(ours), shape: theirs.shape };
      comparisons.push(compare(tensor, widened, await readF32(theirs)));
    }
  }
  return comparisons;
}

async function readF32({ path, dtype, shape, offset, length }: WeightLocation) {
  using file = await Deno.open(path);
  await file.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) throw new Deno.errors.UnexpectedEof(`"${path}" ends inside a tensor`);
    filled += count;
  }
  return toFloat32(tensorFromBytes(dtype, shape, bytes));
}
