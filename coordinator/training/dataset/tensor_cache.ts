/**
 * Tensors that are dear to compute and cheap to keep, on disk under a hash of what they follow from. Nothing is lost with the folder:
 * what is missing or damaged is computed again.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { TuttiError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export type Tensors = Readonly<Record<string, F32Tensor>>;

export class TensorCache {
  readonly #folder: string;

  /** @param folder is made when something is kept */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * @param key everything that the tensors follow from: hashes, sizes, ids
   * @param names of the tensors that `compute` gives
   */
  async get(
    key: readonly (string | number)[],
    names: readonly string[],
    compute: () => Promise<Tensors>,
  ): Promise<Tensors> {
    const digest = createHash("sha256").update(JSON.stringify(key)).digest("hex");
    // Folders of a few thousand files are slow to list.
    const path = join(this.#folder, digest.slice(0, 2), `${digest}.safetensors`);
    const kept = await read(path, names);
    if (kept) return kept;
    const tensors = await compute();
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      await writeSafetensors(path, tensors);
    } catch {
      // A cache that cannot be written costs time, nothing else.
    }
    return tensors;
  }
}

async function read(path: string, names: readonly string[]): Promise<Tensors | undefined> {
  try {
    return Object.fromEntries(await (await SafetensorsFile.open(path)).readMany(names)) as Tensors;
  } catch (error) {
    if (error instanceof TuttiError) return undefined;
    throw error;
  }
}
