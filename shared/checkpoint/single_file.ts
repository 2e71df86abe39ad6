/**
 * A model in one `.safetensors` file, as communities share them (`docs/spec.md`, "Single files"): tensors are told
 * apart by prefix and renamed to diffusers keys; their bytes stay where they are.
 *
 * @module
 */

import { join } from "node:path";
import { parseClipTextConfig } from "../models/config/clip_config.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { parseUNetConfig } from "../models/config/unet_config.ts";
import { parseVaeConfig } from "../models/config/vae_config.ts";
import { FAMILIES } from "../models/families.ts";
import type { WeightTable } from "../models/weights.ts";
import { SafetensorsFile } from "../safetensors/reader.ts";
import type { Checkpoint, OpenOptions } from "./checkpoint.ts";
import { detectFamily } from "./family.ts";
import { modernClipKey } from "./keymaps/clip.ts";
import { OPEN_CLIP_PREFIX, openClipTable } from "./keymaps/open_clip.ts";
import { UNET_PREFIX, unetKeyMap } from "./keymaps/unet.ts";
import { modernVaeKey, VAE_PREFIXES, vaeKeyMap } from "./keymaps/vae.ts";
import { filePredictionType } from "./prediction_type.ts";
import type { VaePart } from "./vae_family.ts";
import { renamedTable, type TensorSource, weightTable } from "./weight_files.ts";

type Parts = Omit<Checkpoint, "path" | "name">;

/** @throws {FormatError} if the file is damaged, pickled, or of a family that Tutti does not run */
export async function openSingleFile(path: string, options: OpenOptions = {}): Promise<Parts> {
  const file = await SafetensorsFile.open(path);
  const { entries } = file;
  return await singleFileParts({
    ...{ name: path, path: await Deno.realPath(path), entries },
    family: detectFamily(entries, path),
    predictionType: filePredictionType(file),
  }, options);
}

/** The parts of a single file, or of what takes its place. */
export async function singleFileParts(
  { family, predictionType, ...source }: TensorSource & Pick<Parts, "family" | "predictionType">,
  { configFrom }: OpenOptions = {},
): Promise<Parts> {
  const { configs: known, textPrefix } = FAMILIES[family];
  const folderOf = (part: string) => configFrom === undefined ? undefined : join(configFrom, part);
  const unetConfig = await readConfig(folderOf("unet"), parseUNetConfig, known.unet);
  const toDiffusers = unetKeyMap(unetConfig.layersPerBlock);
  const textWeights = renamedTable(source, below(textPrefix, modernClipKey));
  const openClip = renamedTable(source, below(OPEN_CLIP_PREFIX, (key) => key));
  return {
    family,
    predictionType,
    unet: {
      config: unetConfig,
      weights: renamedTable(source, below(UNET_PREFIX, toDiffusers)),
    },
    ...(textWeights.size > 0 && {
      text: {
        config: await readConfig(folderOf("text_encoder"), parseClipTextConfig, known.text),
        weights: textWeights,
      },
    }),
    ...(openClip.size > 0 && known.text2 && {
      text2: {
        config: await readConfig(folderOf("text_encoder_2"), parseClipTextConfig, known.text2),
        weights: openClipTable(openClip),
      },
    }),
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
export async function openVaeFile(path: string, configFolder?: string): Promise<VaePart> {
  const file = await SafetensorsFile.open(path);
  const { entries } = file;
  const family = [...entries.keys()].some((key) => key.startsWith(UNET_PREFIX))
    ? detectFamily(entries, path)
    : undefined;
  const config = await readConfig(
    configFolder,
    parseVaeConfig,
    FAMILIES[family ?? "sd15"].configs.vae,
  );
  return {
    config,
    weights: await readVaeWeights(file, config.blockOutChannels.length),
    ...(family && { family }),
    isConfigAssumed: configFolder === undefined,
  };
}

async function readVaeWeights(file: SafetensorsFile, levels: number): Promise<WeightTable> {
  const toDiffusers = vaeKeyMap(levels);
  // A VAE on its own may be in diffusers names already, and without any prefix.
  const rename = (key: string) =>
    toDiffusers(key) ?? (/^(encoder|decoder)\./.test(key) ? modernVaeKey(key) : undefined);
  return await weightTable(file, (key) => {
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
