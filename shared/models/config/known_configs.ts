/**
 * Configs of the model families, for single files, which bring none. The values are those of the
 * published `config.json`s (stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0: `unet/`, `text_encoder/`,
 * `text_encoder_2/`, `vae/`); keys that equal the parsers' defaults are left out.
 *
 * @module
 */

import { type ClipTextConfig, parseClipTextConfig } from "./clip_config.ts";
import { ConfigFields } from "./fields.ts";
import { parseUNetConfig, type UNetConfig } from "./unet_config.ts";
import { parseVaeConfig, type VaeConfig } from "./vae_config.ts";

const fields = (json: unknown, part: string) => new ConfigFields(json, `built-in ${part}`);

export const SD15_UNET: UNetConfig = parseUNetConfig(fields({
  block_out_channels: [320, 640, 1280, 1280],
  down_block_types: [
    "CrossAttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "DownBlock2D",
  ],
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
  cross_attention_dim: 768,
  attention_head_dim: 8,
  sample_size: 64,
}, "SD1.5 U-Net"));

export const SD15_TEXT: ClipTextConfig = parseClipTextConfig(fields({
  vocab_size: 49408,
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  projection_dim: 768,
}, "SD1.5 text encoder"));

const KL_F8 = {
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  down_block_types: new Array(4).fill("DownEncoderBlock2D"),
  up_block_types: new Array(4).fill("UpDecoderBlock2D"),
};

export const SD15_VAE: VaeConfig = parseVaeConfig(
  fields({ ...KL_F8, scaling_factor: 0.18215 }, "SD1.5 VAE"),
);

export const SDXL_UNET: UNetConfig = parseUNetConfig(fields({
  block_out_channels: [320, 640, 1280],
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  cross_attention_dim: 2048,
  attention_head_dim: [5, 10, 20],
  transformer_layers_per_block: [1, 2, 10],
  use_linear_projection: true,
  addition_embed_type: "text_time",
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
  sample_size: 128,
}, "SDXL U-Net"));

/** SDXL's first text encoder is SD1.5's architecture. */
export const SDXL_TEXT: ClipTextConfig = SD15_TEXT;

export const SDXL_TEXT_2: ClipTextConfig = parseClipTextConfig(fields({
  vocab_size: 49408,
  hidden_size: 1280,
  intermediate_size: 5120,
  num_hidden_layers: 32,
  num_attention_heads: 20,
  hidden_act: "gelu",
  projection_dim: 1280,
}, "SDXL text encoder 2"));

export const SDXL_VAE: VaeConfig = parseVaeConfig(
  fields({ ...KL_F8, scaling_factor: 0.13025 }, "SDXL VAE"),
);
