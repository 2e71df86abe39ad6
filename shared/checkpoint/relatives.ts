/**
 * What a file is that is no model of ours, by the keys that only its kind has: relatives of the models that Tutti runs, and
 * whatever else people keep beside their models.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/tensor.ts";
import { OPEN_CLIP_PREFIX } from "./keymaps/open_clip.ts";
import { UNET_PREFIX } from "./keymaps/unet.ts";
import { vaeRelative } from "./vae_relatives.ts";

/** Key -> shape of a single file, and the dtype where it is known. */
export type KeyShapes = ReadonlyMap<string, { readonly shape: Shape; readonly dtype?: DType }>;

const CONV_IN = `${UNET_PREFIX}input_blocks.0.0.weight`;
const SDXL_LABEL = `${UNET_PREFIX}label_emb.0.0.weight`;
const SD2_WIDTH_KEY = `${UNET_PREFIX}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight`;
const DISTILLED_DEPTH_KEY = `${UNET_PREFIX}input_blocks.7.1.transformer_blocks.3.`;
const SD2_CONTEXT_WIDTH = 1024;
const REFINER_WIDTH = 384;
export const SD2_NAME = "a Stable Diffusion 2 model";
export const REFINER_NAME = "the SDXL refiner, which finishes pictures of the base model";
export const LCM_NAME =
  "a full latent consistency model (LCM), whose U-Net takes the guidance scale as an input";
export const CONTROLNET_NAME = "a ControlNet, an addition to a model";
/** The way out where weights are codes. */
export const UNQUANTISED = "get it in fp8, f16 or bf16";
const VAE_NAME = "a VAE alone, which --vae takes";

/** Input channels of U-Nets that take an image, a mask or a depth map beside the latents. */
const EDITING_CHANNELS: Readonly<Record<number, string>> = {
  9: "an inpainting model (9 input channels)",
  8: "an instruct-pix2pix model (8 input channels)",
  7: "an upscaler (7 input channels)",
  5: "a depth-to-image model (5 input channels)",
};

/** What a U-Net of so many input channels is for, unless it takes latents alone. */
export function editingModel(inChannels: number): string | undefined {
  return EDITING_CHANNELS[inChannels];
}

/** A name for what the shapes or keys show; the most telling come first. */
const KINDS: readonly (readonly [(shapes: KeyShapes) => boolean, string])[] = [
  [
    (shapes) => someKey(shapes, /\.quant_state\.bitsandbytes__/) || hasCodes(shapes),
    `a model whose weights are codes of a quantisation (bitsandbytes NF4 and the like); ${UNQUANTISED}`,
  ],
  [(shapes) => someKey(shapes, /\.time_stack\./), "a Stable Video Diffusion model"],
  ...Object.entries(EDITING_CHANNELS).map(([channels, what]) =>
    [(shapes: KeyShapes) => shapes.get(CONV_IN)?.shape[1] === Number(channels), what] as const
  ),
  [(shapes) => shapes.get(SD2_WIDTH_KEY)?.shape[1] === SD2_CONTEXT_WIDTH, SD2_NAME],
  [
    (shapes) =>
      shapes.get(CONV_IN)?.shape[0] === REFINER_WIDTH ||
      (shapes.has("conditioner.embedders.0.model.ln_final.weight") &&
        !someKey(shapes, new RegExp(`^${OPEN_CLIP_PREFIX}`))),
    REFINER_NAME,
  ],
  [(shapes) => shapes.has(`${UNET_PREFIX}time_embed.cond_proj.weight`), LCM_NAME],
  [
    (shapes) => hasNoMiddleAttention(shapes) && someKeyBegins(shapes, DISTILLED_DEPTH_KEY),
    "SSD-1B or a model of its kind, an SDXL with fewer layers",
  ],
  [hasNoMiddleAttention, "Segmind Vega or a model of its kind, an SDXL with fewer layers"],
];

/** By keys alone, for files that are no model of a family of ours. */
const KEY_KINDS: readonly (readonly [RegExp, string])[] = [
  // First, as a LoRA's keys name the layers of the model that it is for.
  [/(^|[._])lora[._]|\.lora_(down|up|[AB])\b|\.(hada|lokr)_/, "a LoRA, not a checkpoint"],
  [/^(control_model|controlnet_(cond_embedding|down_blocks))\.|^lllite_/, CONTROLNET_NAME],
  [/(^|\.)double_blocks\./, "a FLUX model"],
  [/(^|\.)joint_blocks\./, "a Stable Diffusion 3 model"],
  [/(^|\.)motion_modules\./, "an AnimateDiff motion module"],
  [/^(image_proj|ip_adapter)\./, "an IP-Adapter, an addition to a model"],
  [
    /^(emb_params|clip_[lg]|string_to_(param|token)\b.*|<[^.]*>)$/,
    "a textual inversion embedding, an addition to a prompt",
  ],
  [
    /^(params(_ema)?\.)?(conv_first|body\.0\.rdb1|RRDB_trunk|model\.1\.sub\.0\.RDB1|layers\.0\.residual_group)\./,
    "an upscaler for finished pictures",
  ],
  [/^((first_stage_model|vae)\.|(encoder|decoder)\.(conv_in|down|up|mid))/, VAE_NAME],
  [/^(text_model|transformer\.resblocks|cond_stage_model|conditioner)\./, "a text encoder alone"],
];

/** What a single file is, if it is a relative of ours or something else; `undefined` if nothing tells. */
export function relativeOfKeys(shapes: KeyShapes): string | undefined {
  return KINDS.find(([isKind]) => isKind(shapes))?.[1];
}

/** What a single file without a U-Net of ours is; `undefined` if nothing tells. */
export function strangerOfKeys(shapes: KeyShapes): string | undefined {
  const [, kind] = KEY_KINDS.find(([pattern]) => someKey(shapes, pattern)) ?? [];
  return kind === undefined || kind === VAE_NAME ? vaeRelative(shapes) ?? kind : kind;
}

/** Whether a matrix of the U-Net is of bytes, which are values of nothing. */
function hasCodes(shapes: KeyShapes): boolean {
  return shapes.entries().some(([key, { dtype }]) =>
    (dtype === "uint8" || dtype === "int8") && key.startsWith(UNET_PREFIX) &&
    key.endsWith(".weight")
  );
}

/** SDXL has ten transformer blocks in the middle; its distilled relatives have none. */
function hasNoMiddleAttention(shapes: KeyShapes): boolean {
  return shapes.has(SDXL_LABEL) && shapes.has(`${UNET_PREFIX}middle_block.0.in_layers.0.weight`) &&
    !someKeyBegins(shapes, `${UNET_PREFIX}middle_block.1.`);
}

function someKey(shapes: KeyShapes, pattern: RegExp): boolean {
  return shapes.keys().some((key) => pattern.test(key));
}

function someKeyBegins(shapes: KeyShapes, prefix: string): boolean {
  return shapes.keys().some((key) => key.startsWith(prefix));
}
