/** Files of weights -> weight tables. @module */

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import type { WeightLocation, WeightTable } from "../models/weights.ts";
import { readRegularText } from "../regular_file.ts";
import { findPartFile, USUAL_NAMES } from "./part_files.ts";
import { parseJson } from "../json_text.ts";
import { withScales } from "./scaled_weights.ts";
import { byteLength } from "../tensor/tensor.ts";
import { openWeightFile } from "../weight_file/open_weight_file.ts";
import type { ForeignEntry, TensorEntry, TensorFile } from "../weight_file/tensor_file.ts";

/**
 * The tensors of one file, under keys that `rename` gives; `undefined` leaves a tensor out.
 *
 * @throws {FormatError} if the file is damaged, or two tensors get one key
 */
export async function readWeightTable(
  path: string,
  rename: (key: string) => string | undefined = (key) => key,
): Promise<WeightTable> {
  return await weightTable(await openWeightFile(path), rename);
}

/** The same, of a file whose header was read already. */
export async function weightTable(
  { path, entries, foreign }: Pick<TensorFile, "path" | "entries" | "foreign">,
  rename: (key: string) => string | undefined,
): Promise<WeightTable> {
  // ONNX Runtime refuses symbolic links (as in Hugging Face's cache) that leave the folder it is given.
  return renamedTable({ name: path, path: await Deno.realPath(path), entries, foreign }, rename);
}

/** Tensors of a single file, or of what takes its place. */
export interface TensorSource {
  /** For messages. */
  readonly name: string;
  /** As in `WeightLocation`. */
  readonly path: string;
  readonly entries: TensorFile["entries"];
  readonly foreign?: TensorFile["foreign"];
}

/** The same, of anything that has tensors by key. */
export function renamedTable(
  { name: shown, path, entries, foreign = new Map() }: TensorSource,
  rename: (key: string) => string | undefined,
): WeightTable {
  const table = new Map<string, WeightLocation>();
  for (const [key, entry] of [...entries, ...foreign]) {
    const name = rename(key);
    if (name === undefined) continue;
    if (table.has(name)) {
      throw new FormatError(
        `Checkpoint "${shown}" has two tensors for "${name}": one of them is "${key}"`,
      );
    }
    table.set(name, "dtype" in entry ? weightLocation(entry, path) : foreignLocation(entry, path));
  }
  return withScales(table);
}

/** @param realPath of the file: the runtime refuses symbolic links that leave their folder */
export function weightLocation(
  { dtype, shape, begin, strides }: TensorEntry,
  realPath: string,
): WeightLocation {
  return {
    ...{ dtype, shape, path: realPath, offset: begin, length: byteLength(dtype, shape) },
    ...(strides && { strides }),
  };
}

/** Where a tensor lies that cannot be read: it matters only to a model that needs it. */
function foreignLocation(
  { foreignDtype, shape, begin, end }: ForeignEntry,
  path: string,
): WeightLocation {
  return { dtype: "uint8", foreignDtype, shape, path, offset: begin, length: end - begin };
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
  const found = findPartFile(names);
  if (!found) {
    throw new FormatError(
      `Folder "${folder}" must hold one of ${USUAL_NAMES.join(", ")}: current files are ${
        [...names].sort().join(", ") || "none"
      }`,
    );
  }
  return found.isIndex
    ? await readShards(folder, found.name, rename)
    : await readWeightTable(join(folder, found.name), rename);
}

async function readShards(
  folder: string,
  index: string,
  rename?: (key: string) => string,
): Promise<WeightTable> {
  const path = join(folder, index);
  let shards: string[];
  try {
    const { weight_map: map } = parseJson(await readRegularText(path)) as {
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
