/**
 * A model in one file, as communities share them (`docs/spec.md`, "Single files"): tensors are told
 * apart by prefix and renamed to diffusers keys; their bytes stay where they are.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { parseClipTextConfig } from "../models/config/clip_config.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { parseUNetConfig } from "../models/config/unet_config.ts";
import { parseVaeConfig } from "../models/config/vae_config.ts";
import { FAMILIES, type Family } from "../models/families.ts";
import type { WeightTable } from "../models/weights.ts";
import type { TensorFile } from "../weight_file/tensor_file.ts";
import type { Checkpoint, OpenOptions } from "./checkpoint.ts";
import { configPath } from "./config_path.ts";
import { detectFamily } from "./family.ts";
import { modernClipKey } from "./keymaps/clip.ts";
import { OPEN_CLIP_PREFIX, openClipTable } from "./keymaps/open_clip.ts";
import { UNET_PREFIX, unetKeyMap } from "./keymaps/unet.ts";
import { modernVaeKey, VAE_PREFIXES, vaeKeyMap } from "./keymaps/vae.ts";
import { openModelFile } from "./model_file.ts";
import { fileSchedule, folderSchedule, isSaid } from "./own_schedule.ts";
import { vaeRelative } from "./vae_relatives.ts";
import type { VaePart } from "./vae_family.ts";
import { renamedTable, type TensorSource, weightTable } from "./weight_files.ts";

type Parts = Omit<Checkpoint, "path" | "name">;

/** @throws {FormatError} if the file is damaged, no file of weights, or of a family that Tutti does not run */
export async function openSingleFile(path: string, options: OpenOptions = {}): Promise<Parts> {
  const file = await openModelFile(path);
  const { entries, foreign, metadata } = file;
  return await singleFileParts({
    ...{ name: path, path: await Deno.realPath(path), entries, foreign, metadata },
    family: detectFamily(entries, path),
  }, options);
}

/** A single file, or what takes its place. */
export interface SingleFileSource extends TensorSource, Pick<TensorFile, "metadata"> {
  readonly family: Family;
}

/** @throws {FormatError} if its marks are those of a model that Tutti does not sample */
export async function singleFileParts(
  { family, metadata, ...source }: SingleFileSource,
  { configFrom }: OpenOptions = {},
): Promise<Parts> {
  const marked = fileSchedule({ entries: source.entries, metadata }, source.name);
  const named = configFrom === undefined || isSaid(marked)
    ? undefined
    : await folderSchedule(configFrom);
  const ownSchedule = named ?? marked;
  const { configs: known, textPrefix } = FAMILIES[family];
  const pathOf = async (part: string) =>
    configFrom === undefined ? undefined : await configPath(configFrom, part, "unet");
  const unetConfig = await readConfig(await pathOf("unet"), parseUNetConfig, known.unet);
  const toDiffusers = unetKeyMap(unetConfig.layersPerBlock);
  const textWeights = renamedTable(source, below(textPrefix, modernClipKey));
  const openClip = renamedTable(source, below(OPEN_CLIP_PREFIX, (key) => key));
  return {
    family,
    predictionType: ownSchedule?.config.predictionType ?? "epsilon",
    ...(ownSchedule && { ownSchedule }),
    unet: {
      config: unetConfig,
      weights: renamedTable(source, below(UNET_PREFIX, toDiffusers)),
    },
    ...(textWeights.size > 0 && {
      text: {
        config: await readConfig(await pathOf("text_encoder"), parseClipTextConfig, known.text),
        weights: textWeights,
      },
    }),
    ...(openClip.size > 0 && known.text2 && {
      text2: {
        config: await readConfig(await pathOf("text_encoder_2"), parseClipTextConfig, known.text2),
        weights: openClipTable(openClip),
      },
    }),
  };
}

/** A part's config; without one, the family's own. */
async function readConfig<C>(
  path: string | undefined,
  parse: (fields: ConfigFields) => C,
  known: C,
): Promise<C> {
  return path === undefined ? known : parse(await ConfigFields.read(path));
}

/**
 * The VAE of a single file: a whole checkpoint's, or a file with a VAE alone.
 *
 * @param configFrom a `config.json`, or a folder with one, for a VAE of other sizes than SD1.5's
 * @throws {FormatError} if the file is damaged, or a VAE alone of another kind
 */
export async function openVaeFile(path: string, configFrom?: string): Promise<VaePart> {
  const file = await openModelFile(path);
  const { entries } = file;
  const family = [...entries.keys()].some((key) => key.startsWith(UNET_PREFIX))
    ? detectFamily(entries, path)
    : undefined;
  const relative = family === undefined ? vaeRelative(entries) : undefined;
  if (relative !== undefined) {
    throw new FormatError(
      `VAE "${path}" is not supported: this is ${relative}; Tutti takes whole VAEs of SD1.5 and SDXL`,
    );
  }
  const config = await readConfig(
    configFrom === undefined ? undefined : await configPath(configFrom, "vae", "vae"),
    parseVaeConfig,
    FAMILIES[family ?? "sd15"].configs.vae,
  );
  return {
    config,
    weights: await readVaeWeights(file, config.blockOutChannels.length),
    ...(family && { family }),
    isConfigAssumed: configFrom === undefined,
  };
}

/** What a VAE's training keeps beside it: the networks of its loss, and running averages of its weights. */
const TRAINING_LEFTOVER = /^(loss|model_ema)\./;

async function readVaeWeights(file: TensorFile, levels: number): Promise<WeightTable> {
  const toDiffusers = vaeKeyMap(levels);
  // A VAE on its own may be in diffusers names already, and without any prefix.
  const rename = (key: string) =>
    toDiffusers(key) ?? (/^(encoder|decoder)\./.test(key) ? modernVaeKey(key) : undefined);
  return await weightTable(file, (key) => {
    const prefix = VAE_PREFIXES.find((p) => key.startsWith(p));
    if (prefix === undefined) return rename(key);
    const name = key.slice(prefix.length);
    return TRAINING_LEFTOVER.test(name) ? undefined : rename(name) ?? key;
  });
}

/** Keys below a prefix, renamed; a key that the map does not know keeps its name, so it is reported as unused. */
function below(prefix: string, rename: (key: string) => string | undefined) {
  return (key: string): string | undefined => {
    if (!key.startsWith(prefix)) return undefined;
    return rename(key.slice(prefix.length)) ?? key;
  };
}
