/**
 * A model in one `.safetensors` file, as communities share them (SPEC 2.2, 2.4, 2.5): tensors are told
 * apart by prefix and renamed to diffusers keys; their bytes stay where they are.
 *
 * @module
 */

import { join } from "node:path";
import { parseClipTextConfig } from "../models/config/clip_config.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { parseUNetConfig } from "../models/config/unet_config.ts";
import { parseVaeConfig, type VaeConfig } from "../models/config/vae_config.ts";
import type { WeightTable } from "../models/weights.ts";
import { SafetensorsFile } from "../safetensors/reader.ts";
import type { Checkpoint, OpenOptions, Part } from "./checkpoint.ts";
import { checkFamilyRuns, detectFamily } from "./family.ts";
import { CLIP_PREFIX, modernClipKey } from "./keymaps/clip.ts";
import { UNET_PREFIX, unetKeyMap } from "./keymaps/unet.ts";
import { modernVaeKey, VAE_PREFIXES, vaeKeyMap } from "./keymaps/vae.ts";
import { SD15_TEXT, SD15_UNET, SD15_VAE } from "./known_configs.ts";
import { readWeightTable } from "./weight_files.ts";

type Parts = Omit<Checkpoint, "path" | "name">;

/** @throws {FormatError} if the file is damaged, pickled, or of a family that Tutti does not run */
export async function openSingleFile(
  path: string,
  { configFrom }: OpenOptions = {},
): Promise<Parts> {
  const { entries } = await SafetensorsFile.open(path);
  const family = detectFamily(entries, path);
  checkFamilyRuns(family, path);
  const folderOf = (part: string) => configFrom === undefined ? undefined : join(configFrom, part);
  const unetConfig = await readConfig(folderOf("unet"), parseUNetConfig, SD15_UNET);
  const toDiffusers = unetKeyMap(unetConfig.layersPerBlock);
  return {
    family,
    predictionType: "epsilon",
    unet: {
      config: unetConfig,
      weights: await readWeightTable(path, below(UNET_PREFIX, toDiffusers)),
    },
    text: {
      config: await readConfig(folderOf("text_encoder"), parseClipTextConfig, SD15_TEXT),
      weights: await readWeightTable(path, below(CLIP_PREFIX, modernClipKey)),
    },
  };
}

/** A part's `config.json` in `folder`; without a folder, the family's own. */
async function readConfig<C>(
  folder: string | undefined,
  parse: (fields: ConfigFields) => C,
  known: C,
): Promise<C> {
  return folder === undefined ? known : parse(await ConfigFields.read(join(folder, "config.json")));
}

/**
 * The VAE of a single file: a whole checkpoint's, or a file with a VAE alone.
 *
 * @param configFolder folder of a `config.json`, for a VAE of other sizes than SD1.5's
 * @throws {FormatError} if the file is damaged
 */
export async function openVaeFile(path: string, configFolder?: string): Promise<Part<VaeConfig>> {
  const config = await readConfig(configFolder, parseVaeConfig, SD15_VAE);
  return { config, weights: await readVaeWeights(path, config.blockOutChannels.length) };
}

async function readVaeWeights(path: string, levels: number): Promise<WeightTable> {
  const toDiffusers = vaeKeyMap(levels);
  // A VAE on its own may be in diffusers names already, and without any prefix.
  const rename = (key: string) =>
    toDiffusers(key) ?? (/^(encoder|decoder)\./.test(key) ? modernVaeKey(key) : undefined);
  return await readWeightTable(path, (key) => {
    const prefix = VAE_PREFIXES.find((p) => key.startsWith(p));
    if (prefix !== undefined) return rename(key.slice(prefix.length)) ?? key;
    return rename(key);
  });
}

/** Keys below a prefix, renamed; a key that the map does not know keeps its name, so it is reported as unused. */
function below(prefix: string, rename: (key: string) => string | undefined) {
  return (key: string): string | undefined => {
    if (!key.startsWith(prefix)) return undefined;
    return rename(key.slice(prefix.length)) ?? key;
  };
}
