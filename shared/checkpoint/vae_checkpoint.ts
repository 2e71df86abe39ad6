/** Opens the VAE of an ensemble, from wherever the user has one. @module */

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { openVaeFolder } from "./diffusers_folder.ts";
import { exists } from "./exists.ts";
import { modelFolder } from "./model_folder.ts";
import { openVaeFile } from "./single_file.ts";
import type { VaePart } from "./vae_family.ts";

/**
 * @param path a VAE's folder, a diffusers model that has a `vae/`, or a single file with a VAE in it
 * @param configFrom a `config.json`, or a folder with one, for a single file with a VAE of other sizes than SD1.5's
 * @throws {FormatError} if there is no VAE
 */
export async function openVae(path: string, configFrom?: string): Promise<VaePart> {
  if (!await exists(path)) {
    throw new FormatError(`Cannot open VAE "${path}": no such file or folder`);
  }
  if ((await Deno.stat(path)).isDirectory) {
    const folder = await modelFolder(path);
    const nested = join(folder, "vae");
    return await openVaeFolder(await exists(nested) ? nested : folder);
  }
  const part = await openVaeFile(path, configFrom);
  if (part.weights.size === 0) {
    throw new FormatError(
      `File "${path}" must hold a VAE (keys below "first_stage_model."): it has none; name another with --vae`,
    );
  }
  return part;
}
