/**
 * For which family of models a LoRA was trained, as far as its names, widths and metadata tell. Needed to refuse a LoRA
 * by name: layers of one family partly exist in another, under the same names and in the same shapes.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { FAMILIES, type Family } from "../../models/families.ts";
import { show } from "../../show.ts";
import type { LoraFile } from "./lora_file.ts";
import { changedSize, type LoraLayer } from "./lora_layer.ts";
import type { LoraLayerName } from "./lora_keys.ts";

/** Beginnings and parts of keys that only other families' LoRAs have, the most telling first. */
const FOREIGN_KEYS: readonly (readonly [RegExp, string])[] = [
  [/(^|[._])(double_blocks|single_blocks|single_transformer_blocks)[._]/, "FLUX"],
  [/(^|[._])joint_(transformer_)?blocks[._]/, "Stable Diffusion 3"],
  [/^(lora_)?transformer[._]/, "a diffusion transformer"],
  [/^lora_prior_/, "Stable Cascade"],
];

const SD2 = "Stable Diffusion 2";
const SD2_TEXT_WIDTH = 1024;
/** Width of the text states that cross attention reads. */
const CROSS_ATTENTION_WIDTHS: ReadonlyMap<number, string> = new Map([
  ...Object.values(FAMILIES).map(({ name, configs }) =>
    [configs.unet.crossAttentionDim, name] as const
  ),
  [SD2_TEXT_WIDTH, SD2],
]);

/** What trainers write as `ss_base_model_version` (kohya) and `modelspec.architecture`. */
const METADATA_KEYS = ["ss_base_model_version", "modelspec.architecture"] as const;
const METADATA_FAMILIES: readonly (readonly [RegExp, string])[] = [
  [/^(sdxl|stable-diffusion-xl)/, FAMILIES.sdxl.name],
  [/^(sd_v1|stable-diffusion-v1)/, FAMILIES.sd15.name],
  [/^(sd_v2|stable-diffusion-v2)/, SD2],
  [/^(sd3|stable-diffusion-3)/, "Stable Diffusion 3"],
  [/^flux/, "FLUX"],
];

export type NamedLayer = readonly [LoraLayerName, LoraLayer];

/**
 * @param crossAttentionDim the model's own: layers of this width tell nothing
 * @throws {FormatError} if the LoRA is for another family than the model's
 */
export function checkLoraFamily(
  { path, metadata }: Pick<LoraFile, "path" | "metadata">,
  layers: readonly NamedLayer[],
  { model, family, crossAttentionDim }: {
    readonly model: string;
    readonly family: Family;
    readonly crossAttentionDim: number;
  },
): void {
  const own = FAMILIES[family].name;
  for (const [found, sign] of familySigns(metadata, layers, crossAttentionDim)) {
    if (found === own) continue;
    throw new FormatError(
      `LoRA ${show(path)} does not fit "${model}", which is ${own}: ` +
        `this LoRA is for ${found} (${sign})`,
    );
  }
}

/** Families and what tells them, the surest first. */
function* familySigns(
  metadata: LoraFile["metadata"],
  layers: readonly NamedLayer[],
  crossAttentionDim: number,
): Generator<readonly [family: string, sign: string]> {
  for (const [, { path }] of layers) {
    const foreign = FOREIGN_KEYS.find(([pattern]) => pattern.test(path));
    if (foreign) yield [foreign[1], `layer ${show(path)}`];
  }
  for (const [{ part, name }, { path, change }] of layers) {
    const [, width] = changedSize(change);
    const isCrossAttention = part === "unet" && /_attn2_to_[kv]$/.test(name);
    if (isCrossAttention && width !== crossAttentionDim && CROSS_ATTENTION_WIDTHS.has(width)) {
      yield [CROSS_ATTENTION_WIDTHS.get(width)!, `${show(path)} is ${width} wide`];
    }
    const isSdxl = part === "text2" || /^add_embedding_/.test(name) ||
      (part === "unet" && /_transformer_blocks_[1-9]/.test(name));
    if (isSdxl) yield [FAMILIES.sdxl.name, `layer ${show(path)}`];
    // With two encoders kohya's names count them from 1.
    if (/^lora_te_.*_q_proj$/.test(path)) {
      const found = width === SD2_TEXT_WIDTH ? SD2 : FAMILIES.sd15.name;
      yield [found, `layer ${show(path)}`];
    }
  }
  for (const key of METADATA_KEYS) {
    const value = Object.hasOwn(metadata, key) ? metadata[key]! : "";
    const known = METADATA_FAMILIES.find(([pattern]) => pattern.test(value));
    if (known) yield [known[1], `metadata ${key} is ${show(value)}`];
  }
}
