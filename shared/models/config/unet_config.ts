/** A U-Net's `config.json` (diffusers `UNet2DConditionModel`), with diffusers' defaults for absent keys. @module */

import { FormatError } from "../../errors.ts";
import type { ConfigFields } from "./fields.ts";

export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Latent size that the model was trained at. */
  readonly sampleSize: number;
  /** Channels per level, finest first. */
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly crossAttentionDim: number;
  /** Attention heads per level. */
  readonly numHeads: readonly number[];
  /** Transformer blocks per attention, per level. */
  readonly transformerLayers: readonly number[];
  /** Whether the level has attention, going down. */
  readonly downAttention: readonly boolean[];
  /** Whether the level has attention, going up (first entry is the coarsest). */
  readonly upAttention: readonly boolean[];
  readonly normNumGroups: number;
  readonly normEps: number;
  readonly useLinearProjection: boolean;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  /** SDXL's size and pooled-text conditioning. */
  readonly addition?: { readonly timeEmbedDim: number; readonly inputDim: number };
}

/** Default of diffusers where neither config nor checkpoint says: 64 latent pixels. */
const DEFAULT_SAMPLE_SIZE = 64;

/** @throws {FormatError} on a missing or impossible field, and on features that Tutti does not build */
export function parseUNetConfig(fields: ConfigFields): UNetConfig {
  fields.mustBe("_class_name", "UNet2DConditionModel");
  fields.mustBe("act_fn", "silu", "swish");
  fields.mustBe("mid_block_type", "UNetMidBlock2DCrossAttn");
  fields.mustBe("only_cross_attention", false);
  fields.mustBe("dual_cross_attention", false);
  fields.mustBe("class_embed_type", null);
  fields.mustBe("num_class_embeds", null);
  fields.mustBe("encoder_hid_dim", null);
  fields.mustBe("encoder_hid_dim_type", null);
  fields.mustBe("addition_embed_type", null, "text_time");
  fields.mustBe("resnet_time_scale_shift", "default");
  fields.mustBe("resnet_skip_time_act", false);
  fields.mustBe("time_embedding_type", "positional");
  fields.mustBe("time_embedding_dim", null);
  fields.mustBe("time_embedding_act_fn", null);
  fields.mustBe("timestep_post_act", null);
  fields.mustBe("time_cond_proj_dim", null);
  fields.mustBe("conv_in_kernel", 3);
  fields.mustBe("conv_out_kernel", 3);
  fields.mustBe("center_input_sample", false);
  fields.mustBe("downsample_padding", 1);
  fields.mustBe("mid_block_scale_factor", 1);
  fields.mustBe("mid_block_only_cross_attention", null, false);
  fields.mustBe("resnet_out_scale_factor", 1);
  fields.mustBe("cross_attention_norm", null);
  fields.mustBe("attention_type", "default");
  fields.mustBe("reverse_transformer_layers_per_block", null);
  fields.mustBe("class_embeddings_concat", false);

  const blockOutChannels = fields.counts("block_out_channels", [320, 640, 1280, 1280]);
  const levels = blockOutChannels.length;
  const down = fields.choices("down_block_types", ["CrossAttnDownBlock2D", "DownBlock2D"], levels);
  const up = fields.choices("up_block_types", ["CrossAttnUpBlock2D", "UpBlock2D"], levels);
  // diffusers calls the number of heads "attention_head_dim" for historical reasons.
  const headsKey = fields.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  const config: UNetConfig = {
    inChannels: fields.count("in_channels", 4),
    outChannels: fields.count("out_channels", 4),
    sampleSize: fields.count("sample_size", DEFAULT_SAMPLE_SIZE),
    blockOutChannels,
    layersPerBlock: fields.count("layers_per_block", 2),
    crossAttentionDim: fields.count("cross_attention_dim", 1280),
    numHeads: fields.countPerLevel(headsKey, levels, 8),
    transformerLayers: fields.countPerLevel("transformer_layers_per_block", levels, 1),
    downAttention: down.map((type) => type === "CrossAttnDownBlock2D"),
    upAttention: up.map((type) => type === "CrossAttnUpBlock2D"),
    normNumGroups: fields.count("norm_num_groups", 32),
    normEps: fields.number("norm_eps", 1e-5),
    useLinearProjection: fields.boolean("use_linear_projection", false),
    flipSinToCos: fields.boolean("flip_sin_to_cos", true),
    freqShift: fields.index("freq_shift", 0),
    ...(fields.has("addition_embed_type") && {
      addition: {
        timeEmbedDim: fields.count("addition_time_embed_dim"),
        inputDim: fields.count("projection_class_embeddings_input_dim"),
      },
    }),
  };
  checkDivisible(fields.path, config);
  return config;
}

function checkDivisible(path: string, { blockOutChannels, normNumGroups, numHeads }: UNetConfig) {
  blockOutChannels.forEach((channels, level) => {
    for (
      const [key, divisor] of [["norm_num_groups", normNumGroups], [
        "attention_head_dim",
        numHeads[level]!,
      ]] as const
    ) {
      if (channels % divisor !== 0) {
        throw new FormatError(
          `Config "${path}": "${key}" must divide the ${channels} channels of level ${level}: ` +
            `current value is ${divisor}`,
        );
      }
    }
  });
}
