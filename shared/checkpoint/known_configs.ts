/**
 * Configs of the model families, for single files, which bring none. The values are those of the
 * published `config.json`s (stable-diffusion-v1-5: `unet/`, `text_encoder/`, `vae/`); keys that equal
 * the parsers' defaults are left out.
 *
 * @module
 */

import { type ClipTextConfig, parseClipTextConfig } from "../models/config/clip_config.ts";
import { ConfigFields } from "../models/config/fields.ts";
import { parseUNetConfig, type UNetConfig } from "../models/config/unet_config.ts";
import { parseVaeConfig, type VaeConfig } from "../models/config/vae_config.ts";

const fields = (json: unknown, part: string) => new ConfigFields(json, `built-in SD1.5 ${part}`);

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
}, "U-Net"));

export const SD15_TEXT: ClipTextConfig = parseClipTextConfig(fields({
  vocab_size: 49408,
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
}, "text encoder"));

export const SD15_VAE: VaeConfig = parseVaeConfig(fields({
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  down_block_types: new Array(4).fill("DownEncoderBlock2D"),
  up_block_types: new Array(4).fill("UpDecoderBlock2D"),
  scaling_factor: 0.18215,
}, "VAE"));
