/** Models whose weights are averaged one by one, as a folder that can be opened like theirs. @module */

import { copyFile, mkdir, readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { toFloat32 } from "../../../shared/tensor/tensor.ts";

/**
 * Writes `sum_i W_i / N` of N diffusers folders with the same files; all but the weights is that of the first.
 *
 * @param out a folder, made if it is not there
 * @throws {FormatError} if a file of weights is not in all of them
 */
export async function writeUniformSoup(models: readonly string[], out: string): Promise<void> {
  const entries = await readdir(models[0]!, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((entry) => entry.isFile())) {
    const path = relative(models[0]!, join(entry.parentPath, entry.name));
    await mkdir(dirname(join(out, path)), { recursive: true });
    if (path.endsWith(".safetensors")) {
      await writeMeans(models.map((model) => join(model, path)), join(out, path));
    } else await copyFile(join(models[0]!, path), join(out, path));
  }
}

async function writeMeans(paths: readonly string[], out: string): Promise<void> {
  const files = await Promise.all(paths.map((path) => SafetensorsFile.open(path)));
  const means = [...files[0]!.entries.keys()].map(async (name) => {
    const tensors = await Promise.all(files.map((file) => file.read(name)));
    return [name, mean(tensors.map(toFloat32))] as const;
  });
  await writeSafetensors(out, Object.fromEntries(await Promise.all(means)));
}
