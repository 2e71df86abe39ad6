/**
 * Which layer of a model a LoRA's key is about. The two families of names in use both end here as kohya's: a part of the
 * model, and the layer's diffusers path with underscores for dots. In that form the names of a checkpoint and of
 * any LoRA can be compared, while kohya's underscores cannot be turned back into dots.
 *
 * @module
 */

import type { WeightTable } from "../../models/weights.ts";

export type LoraPart = "unet" | "text" | "text2";

export interface LoraLayerName {
  readonly part: LoraPart;
  /** `down_blocks_0_attentions_0_proj_in` */
  readonly name: string;
}

/** kohya's names: one word per layer. */
const KOHYA_PREFIXES: readonly (readonly [string, LoraPart])[] = [
  ["lora_unet_", "unet"],
  ["lora_te_", "text"],
  ["lora_te1_", "text"],
  ["lora_te2_", "text2"],
];
/** Names of diffusers, PEFT and other tools, a path with dots; the last one for a file of the U-Net alone. */
const DOTTED_PREFIXES: readonly (readonly [string, LoraPart])[] = [
  ["unet.", "unet"],
  ["lora_unet.", "unet"],
  ["lora_te.", "text"],
  ["lora_te1.", "text"],
  ["lora_te2.", "text2"],
  ["text_encoders.clip_l.transformer.", "text"],
  ["text_encoders.clip_g.transformer.", "text2"],
  ["clip_l.transformer.", "text"],
  ["clip_g.transformer.", "text2"],
  ["clip_l.", "text"],
  ["clip_g.", "text2"],
  ["text_encoder.", "text"],
  ["text_encoder_2.", "text2"],
  ["model.diffusion_model.", "unet"],
  ["diffusion_model.", "unet"],
  ["", "unet"],
];
/** What PEFT puts before the path of a model that it wrapped. */
const PEFT_WRAPPER = "base_model.model.";

/** How diffusers' attention processors called the layers of a text encoder. */
const OLD_TEXT_LAYERS: Readonly<Record<string, string>> = {
  to_q: "q_proj",
  to_k: "k_proj",
  to_v: "v_proj",
  to_out: "out_proj",
};

/**
 * @param path a key up to where it says what the tensor is: `lora_unet_mid_block_attentions_0_proj_in`,
 *   `unet.mid_block.attentions.0.proj_in`, `mid_block...attn1.processor.to_q`
 * @param ldmToDiffusers of a U-Net's keys (`unetKeyMap`)
 */
export function loraLayerName(
  path: string,
  ldmToDiffusers: (key: string) => string | undefined,
): LoraLayerName {
  const kohya = KOHYA_PREFIXES.find(([prefix]) => path.startsWith(prefix));
  if (kohya) {
    const [prefix, part] = kohya;
    return { part, name: canonicalName(part, path.slice(prefix.length), ldmToDiffusers) };
  }
  const withoutWrapper = path.replace(PEFT_WRAPPER, "");
  const [prefix, part] = DOTTED_PREFIXES.find(([start]) => withoutWrapper.startsWith(start))!;
  const name = underscored(withoutWrapper.slice(prefix.length).replace(".processor.", "."));
  return { part, name: canonicalName(part, name, ldmToDiffusers) };
}

function canonicalName(
  part: LoraPart,
  name: string,
  ldmToDiffusers: (key: string) => string | undefined,
): string {
  if (part !== "unet") {
    return name.replace(
      /self_attn_(to_[qkv]|to_out)$/,
      (_, layer: string) => `self_attn_${OLD_TEXT_LAYERS[layer]}`,
    );
  }
  const diffusers = ldmToDiffusers(dottedLdmKey(name));
  if (diffusers !== undefined) return underscored(diffusers.slice(0, -".".length));
  return name.replace(/_to_out$/, "_to_out_0");
}

/** An LDM name with the dots that tell where the layer is, and one at the end: `input_blocks.1.1.proj_in.` */
function dottedLdmKey(name: string): string {
  return `${name}.`
    .replace(/^(input_blocks|output_blocks)_(\d+)_(\d+)[_.]/, "$1.$2.$3.")
    .replace(/^middle_block_(\d+)_/, "middle_block.$1.")
    .replace(/(^|\.)(time_embed|out|in_layers|emb_layers|out_layers)_(\d)\.$/, "$1$2.$3.")
    .replace(/^label_emb_0_(\d)\.$/, "label_emb.0.$1.");
}

function underscored(path: string): string {
  return path.replaceAll(".", "_");
}

/** The only weight that single files store transposed, `[in, out]`, under a name without `.weight` (OpenCLIP). */
export const TRANSPOSED_KEY = "text_projection";

/** Name of every layer that a LoRA can change -> its key: matrices and convolutions, no norms, no biases. */
export function layerKeys(table: WeightTable = new Map()): ReadonlyMap<string, string> {
  const layers = new Map<string, string>();
  for (const [key, { shape }] of table) {
    if (key === TRANSPOSED_KEY) layers.set(key, key);
    if (!key.endsWith(".weight") || (shape.length !== 2 && shape.length !== 4)) continue;
    layers.set(underscored(key.slice(0, -".weight".length)), key);
  }
  return layers;
}
