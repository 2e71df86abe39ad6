/** Safetensors files -> weight tables. @module */

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import type { WeightLocation, WeightTable } from "../models/weights.ts";
import { SafetensorsFile } from "../safetensors/reader.ts";

/** File names of a part's weights in diffusers folders, in order of preference. */
const CANDIDATES = [
  "diffusion_pytorch_model.safetensors",
  "diffusion_pytorch_model.fp16.safetensors",
  "model.safetensors",
  "model.fp16.safetensors",
] as const;
/** Lists the shards of a part that is split over several files. */
const INDEXES = [
  "diffusion_pytorch_model.safetensors.index.json",
  "model.safetensors.index.json",
] as const;
/** Pickled twins of the above: refused with a reason by the reader, if nothing else is there. */
const PICKLED = ["diffusion_pytorch_model.bin", "pytorch_model.bin"] as const;

/**
 * The tensors of one file, under keys that `rename` gives; `undefined` leaves a tensor out.
 *
 * @throws {FormatError} if the file is damaged, or two tensors get one key
 */
export async function readWeightTable(
  path: string,
  rename: (key: string) => string | undefined = (key) => key,
): Promise<WeightTable> {
  return await weightTable(await SafetensorsFile.open(path), rename);
}

/** The same, of a file whose header was read already. */
export async function weightTable(
  { path, entries }: SafetensorsFile,
  rename: (key: string) => string | undefined,
): Promise<WeightTable> {
  // ONNX Runtime refuses symbolic links (as in Hugging Face's cache) that leave the folder it is given.
  return renamedTable({ name: path, path: await Deno.realPath(path), entries }, rename);
}

/** Tensors of a single file, or of what takes its place. */
export interface TensorSource {
  /** For messages. */
  readonly name: string;
  /** As in `WeightLocation`. */
  readonly path: string;
  readonly entries: SafetensorsFile["entries"];
}

/** The same, of anything that has tensors by key. */
export function renamedTable(
  { name: shown, path, entries }: TensorSource,
  rename: (key: string) => string | undefined,
): WeightTable {
  const table = new Map<string, WeightLocation>();
  for (const [key, { dtype, shape, begin, end }] of entries) {
    const name = rename(key);
    if (name === undefined) continue;
    if (table.has(name)) {
      throw new FormatError(
        `Checkpoint "${shown}" has two tensors for "${name}": one of them is "${key}"`,
      );
    }
    table.set(name, { dtype, shape, path, offset: begin, length: end - begin });
  }
  return table;
}

/**
 * The tensors of one part's folder: one file, or shards with an index.
 *
 * @throws {FormatError} if the folder holds no weights that can be read
 */
export async function readPartWeights(
  folder: string,
  rename?: (key: string) => string,
): Promise<WeightTable> {
  const names = new Set<string>();
  try {
    for await (const entry of Deno.readDir(folder)) names.add(entry.name);
  } catch (cause) {
    throw new FormatError(`Cannot open folder "${folder}": ${(cause as Error).message}`, { cause });
  }
  const found = [...CANDIDATES, ...PICKLED].find((name) => names.has(name));
  const index = INDEXES.find((name) => names.has(name));
  if (index && !CANDIDATES.some((name) => names.has(name))) {
    return await readShards(folder, index, rename);
  }
  if (!found) {
    throw new FormatError(
      `Folder "${folder}" must hold one of ${CANDIDATES.join(", ")}: current files are ${
        [...names].sort().join(", ") || "none"
      }`,
    );
  }
  return await readWeightTable(join(folder, found), rename);
}

async function readShards(
  folder: string,
  index: string,
  rename?: (key: string) => string,
): Promise<WeightTable> {
  const path = join(folder, index);
  let shards: string[];
  try {
    const { weight_map: map } = JSON.parse(await Deno.readTextFile(path)) as {
      weight_map: Record<string, string>;
    };
    shards = [...new Set(Object.values(map).map(String))];
  } catch (cause) {
    throw new FormatError(`Index "${path}" must list a "weight_map": ${(cause as Error).message}`, {
      cause,
    });
  }
  const table = new Map<string, WeightLocation>();
  for (const shard of shards) {
    if (/[/\\]/.test(shard)) {
      throw new FormatError(
        `Index "${path}" must name files of its own folder: current name is "${shard}"`,
      );
    }
    for (const [key, location] of await readWeightTable(join(folder, shard), rename)) {
      if (table.has(key)) {
        throw new FormatError(
          `Index "${path}" must name every tensor once: "${key}" is in "${shard}" and in another file`,
        );
      }
      table.set(key, location);
    }
  }
  return table;
}
