/**
 * Which family of models a single file holds, by the keys that only that family has (SPEC 2.2), and
 * a clear refusal for those that Tutti does not run.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import type { Shape } from "../tensor/tensor.ts";
import { UNET_PREFIX } from "./keymaps/unet.ts";

export type Family = "sd15" | "sdxl";

/** As people write them. */
export const FAMILY_NAMES: Readonly<Record<Family, string>> = { sd15: "SD1.5", sdxl: "SDXL" };

const SD15_MARK = `${UNET_PREFIX}output_blocks.11.0.skip_connection.weight`;
const SD2_WIDTH_KEY = `${UNET_PREFIX}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight`;
const SD2_CONTEXT_WIDTH = 1024;
const SD2_NAME = "a Stable Diffusion 2 model";
const SDXL_MARKS = [
  "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
  `${UNET_PREFIX}label_emb.0.0.weight`,
];
const CONV_IN = `${UNET_PREFIX}input_blocks.0.0.weight`;
/** Input channels of U-Nets that take an image or a mask beside the latents. */
const EDITING_CHANNELS: Readonly<Record<number, string>> = {
  9: "an inpainting model (9 input channels)",
  8: "an instruct-pix2pix model (8 input channels)",
};

/**
 * @param shapes key -> shape of a single file
 * @throws {FormatError} naming what the file is, if it is none of ours
 */
export function detectFamily(
  shapes: ReadonlyMap<string, { readonly shape: Shape }>,
  path: string,
): Family {
  const refuse = (what: string) => {
    throw notSupported(path, what);
  };
  const editing = EDITING_CHANNELS[shapes.get(CONV_IN)?.shape[1] ?? 0];
  if (editing) refuse(editing);
  if (shapes.get(SD2_WIDTH_KEY)?.shape[1] === SD2_CONTEXT_WIDTH) {
    refuse(SD2_NAME);
  }
  if (SDXL_MARKS.some((key) => shapes.has(key))) return "sdxl";
  if (shapes.has(SD15_MARK)) return "sd15";
  for (const key of shapes.keys()) {
    // First, as a LoRA's keys name the layers of the model that it is for.
    if (/(^|[._])lora[._]/.test(key)) refuse("a LoRA, not a checkpoint");
    if (key.includes("double_blocks.")) refuse("a FLUX model");
    if (key.includes("joint_blocks.")) refuse("a Stable Diffusion 3 model");
    if (key.startsWith("control_model.")) refuse("a ControlNet");
  }
  return refuse("no model that its keys tell") as never;
}

/**
 * The family of a diffusers folder's U-Net: SDXL is the one with size conditioning.
 *
 * @throws {FormatError} naming what the model is, if it is none of ours
 */
export function familyOfConfig(
  { inChannels, crossAttentionDim, addition }: UNetConfig,
  path: string,
): Family {
  const editing = EDITING_CHANNELS[inChannels];
  if (editing) throw notSupported(path, editing);
  if (addition) return "sdxl";
  if (crossAttentionDim === SD2_CONTEXT_WIDTH) throw notSupported(path, SD2_NAME);
  return "sd15";
}

/** The error for a model that Tutti does not run. */
export function notSupported(path: string, what: string): FormatError {
  return new FormatError(
    `Checkpoint "${path}" is not supported: this is ${what}; Tutti runs SD1.5 and SDXL U-Nets`,
  );
}
