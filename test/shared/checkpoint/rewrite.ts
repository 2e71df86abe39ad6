/**
 * Makes checkpoints out of the reference ones: the same tensors under other names, in other files.
 *
 * @module
 */

import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import type { WeightTable } from "../../../shared/models/weights.ts";
import type { Tensor } from "../../../shared/tensor/tensor.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export async function readAll(path: string): Promise<Tensors> {
  const file = await SafetensorsFile.open(path);
  return Object.fromEntries(await file.readMany(file.entries.keys()));
}

/** The tensors under the names that `rename` gives; `undefined` drops one. */
export function renamed(
  tensors: Tensors,
  rename: (key: string) => string | undefined,
): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([key, tensor]) => {
      const name = rename(key);
      return name === undefined ? [] : [[name, tensor]];
    }),
  );
}

/** Copies a weight file, renaming its tensors. */
export async function rewrite(
  from: string,
  to: string,
  rename: (key: string) => string | undefined,
): Promise<void> {
  await writeSafetensors(to, renamed(await readAll(from), rename));
}

/** The bytes that a table points at, by key. */
export async function bytesByKey(table: WeightTable): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const result = new Map<string, Uint8Array>();
  for (const key of [...table.keys()].sort()) {
    const { path, offset, length } = table.get(key)!;
    const file = files.get(path) ?? await Deno.readFile(path);
    files.set(path, file);
    result.set(key, file.subarray(offset, offset + length));
  }
  return result;
}
