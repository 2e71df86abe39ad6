/**
 * A single file of a model under the names that single files have. Files that hold a U-Net alone come with other prefixes,
 * with diffusers' names, or with the running averages (EMA) of its weights in place of the weights.
 *
 * @module
 */

import { FAMILIES, FAMILY_IDS } from "../models/families.ts";
import { unetParameters } from "../models/parameters.ts";
import { openWeightFile } from "../weight_file/open_weight_file.ts";
import { type TensorEntry, TensorFile } from "../weight_file/tensor_file.ts";
import { UNET_PREFIX, unetSingleFileKey } from "./keymaps/unet.ts";
import { CONTROLNET_NAME, strangerOfKeys } from "./relatives.ts";

const BARE_UNET = /^(input_blocks|middle_block|output_blocks|time_embed|label_emb|out)\.\d/;
const SHORT_PREFIX = "diffusion_model.";
const DIFFUSERS_MARK = "down_blocks.0.resnets.0.conv1.weight";
const EMA_UNET = "model_ema.diffusion_model";

/** @throws {FormatError} as `openWeightFile()` */
export async function openModelFile(path: string): Promise<TensorFile> {
  const file = await openWeightFile(path);
  const rename = renameOf(file);
  if (!rename) return file;
  const { metadata, foreign, dataStart } = file;
  const entries = new Map<string, TensorEntry>();
  for (const [key, entry] of file.entries) {
    const name = rename(key) ?? key;
    entries.set(name, { ...entry, name });
  }
  return new TensorFile(path, { entries, metadata, foreign, dataStart });
}

/** Other name -> the one in single files; `undefined` for a file that has those already, or none of them. */
function renameOf({ entries }: TensorFile): ((key: string) => string | undefined) | undefined {
  const keys = [...entries.keys()];
  if (keys.some((key) => key.startsWith(UNET_PREFIX))) return undefined;
  if (keys.some((key) => key.startsWith(EMA_UNET))) {
    const names = emaNames();
    return (key) => names.get(key);
  }
  if (strangerOfKeys(entries) === CONTROLNET_NAME) return undefined;
  if (keys.some((key) => key.startsWith(SHORT_PREFIX))) {
    return (key) => key.startsWith(SHORT_PREFIX) ? `model.${key}` : undefined;
  }
  if (entries.has(DIFFUSERS_MARK)) {
    const family = entries.has("add_embedding.linear_1.weight") ? "sdxl" : "sd15";
    const toSingleFile = unetSingleFileKey(FAMILIES[family].configs.unet);
    return (key) => {
      const name = toSingleFile(key);
      return name === undefined ? undefined : UNET_PREFIX + name;
    };
  }
  if (keys.some((key) => BARE_UNET.test(key))) {
    return (key) => BARE_UNET.test(key) ? UNET_PREFIX + key : undefined;
  }
  return undefined;
}

/** Averages are called as the weight without "model." and without dots, which only a list of all names undoes. */
function emaNames(): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const family of FAMILY_IDS) {
    const { unet } = FAMILIES[family].configs;
    const toSingleFile = unetSingleFileKey(unet);
    for (const key of unetParameters(unet).keys()) {
      const name = UNET_PREFIX + toSingleFile(key)!;
      names.set(`model_ema.${name.slice("model.".length).replaceAll(".", "")}`, name);
    }
  }
  return names;
}
