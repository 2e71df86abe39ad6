/** The VAE that a model brings along, if it does. @module */

import { join } from "node:path";
import type { Part } from "../../shared/checkpoint/checkpoint.ts";
import { openVaeFolder } from "../../shared/checkpoint/diffusers_folder.ts";
import { exists } from "../../shared/checkpoint/exists.ts";
import { modelFolder } from "../../shared/checkpoint/model_folder.ts";
import { openVaeFile } from "../../shared/checkpoint/single_file.ts";
import type { VaeConfig } from "../../shared/models/config/vae_config.ts";

/**
 * @param configFrom folder whose `vae/config.json`, if there, describes a single file's VAE
 * @throws {FormatError} if there is a VAE and it is damaged
 */
export async function findVae(
  path: string,
  isFolder: boolean,
  configFrom: string | undefined,
): Promise<Part<VaeConfig> | undefined> {
  if (isFolder) {
    const folder = join(await modelFolder(path), "vae");
    return await exists(folder) ? await openVaeFolder(folder) : undefined;
  }
  const config = configFrom === undefined ? undefined : join(configFrom, "vae");
  const part = await openVaeFile(path, config && await exists(config) ? config : undefined);
  return part.weights.size > 0 ? part : undefined;
}
