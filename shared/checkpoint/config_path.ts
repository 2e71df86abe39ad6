/** Where the config of a part lies that a single file does not say: with the file of a U-Net of unusual sizes, say. @module */

import { join } from "node:path";
import { exists } from "./exists.ts";

/** Parts that a config without a folder around it can be of. */
export type LonePart = "unet" | "vae";

/**
 * @param from a `config.json` itself, or a folder: the part's own, or one of a diffusers model
 * @param lone which part a `config.json` without others around it is of
 * @returns the path of the part's config; of the lone part also where it is not there. `undefined` means the published sizes
 */
export async function configPath(
  from: string,
  part: string,
  lone: LonePart,
): Promise<string | undefined> {
  if ((await Deno.stat(from).catch(() => undefined))?.isFile) {
    return part === lone ? from : undefined;
  }
  const nested = join(from, part, "config.json");
  if (await exists(nested)) return nested;
  if (part !== lone) return undefined;
  const own = join(from, "config.json");
  return await exists(own) ? own : nested;
}
