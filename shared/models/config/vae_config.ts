/** A VAE's `config.json` (diffusers `AutoencoderKL`). @module */

import { FormatError } from "../../errors.ts";
import type { ConfigFields } from "./fields.ts";

export interface VaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** Channels per level, finest first. */
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normNumGroups: number;
  /** Latents are samples of the VAE times this factor. */
  readonly scalingFactor: number;
}

/** @throws {FormatError} on a missing or impossible field, and on features that Tutti does not build */
export function parseVaeConfig(fields: ConfigFields): VaeConfig {
  fields.mustBe("_class_name", "AutoencoderKL");
  fields.mustBe("act_fn", "silu", "swish");
  fields.mustBe("use_quant_conv", true);
  fields.mustBe("use_post_quant_conv", true);
  fields.mustBe("mid_block_add_attention", true);
  fields.mustBe("shift_factor", null);
  fields.mustBe("latents_mean", null);
  fields.mustBe("latents_std", null);
  const blockOutChannels = fields.counts("block_out_channels");
  const levels = blockOutChannels.length;
  fields.choices("down_block_types", ["DownEncoderBlock2D"], levels);
  fields.choices("up_block_types", ["UpDecoderBlock2D"], levels);
  const normNumGroups = fields.count("norm_num_groups", 32);
  const odd = blockOutChannels.find((channels) => channels % normNumGroups !== 0);
  if (odd !== undefined) {
    throw new FormatError(
      `Config "${fields.path}": "norm_num_groups" must divide ${odd} channels: current value is ${normNumGroups}`,
    );
  }
  return {
    inChannels: fields.count("in_channels", 3),
    outChannels: fields.count("out_channels", 3),
    latentChannels: fields.count("latent_channels", 4),
    blockOutChannels,
    layersPerBlock: fields.count("layers_per_block", 1),
    normNumGroups,
    scalingFactor: fields.number("scaling_factor", 0.18215),
  };
}

/** Image pixels per latent pixel, on each side. */
export function vaeFactor({ blockOutChannels }: VaeConfig): number {
  return 2 ** (blockOutChannels.length - 1);
}
