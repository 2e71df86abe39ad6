import assert from "node:assert/strict";
import { SD15_UNET } from "../../../../shared/models/config/known_configs.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { parseUNetConfig } from "../../../../shared/models/config/unet_config.ts";
import { SDXL_UNET } from "../sdxl_config.ts";

/** `unet/config.json` of stable-diffusion-v1-5. */
const SD15 = {
  _class_name: "UNet2DConditionModel",
  _diffusers_version: "0.6.0",
  act_fn: "silu",
  attention_head_dim: 8,
  block_out_channels: [320, 640, 1280, 1280],
  center_input_sample: false,
  cross_attention_dim: 768,
  down_block_types: [
    "CrossAttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "DownBlock2D",
  ],
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  norm_eps: 1e-5,
  norm_num_groups: 32,
  out_channels: 4,
  sample_size: 64,
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
};
const parse = (changes: Record<string, unknown> = {}) =>
  parseUNetConfig(new ConfigFields({ ...SD15, ...changes }, "unet/config.json"));

Deno.test("parseUNetConfig() of SD1.5's published file is the built-in config of its single files", () => {
  assert.deepEqual(parse(), SD15_UNET);
  assert.deepEqual(SD15_UNET.numHeads, [8, 8, 8, 8]);
  assert.equal(SD15_UNET.addition, undefined);
});

Deno.test("parseUNetConfig() takes heads and depths per level, and SDXL's added conditioning", () => {
  assert.deepEqual(SDXL_UNET.numHeads, [5, 10, 20]);
  assert.deepEqual(SDXL_UNET.transformerLayers, [1, 2, 10]);
  assert.deepEqual(SDXL_UNET.addition, { timeEmbedDim: 256, inputDim: 2816 });
  assert.equal(SDXL_UNET.useLinearProjection, true);
  // Where both are there, the newer key is meant.
  assert.deepEqual(parse({ num_attention_heads: 4 }).numHeads, [4, 4, 4, 4]);
  assert.deepEqual(parse({ num_attention_heads: null }).numHeads, [8, 8, 8, 8]);
});

Deno.test("parseUNetConfig() refuses every feature that is not built, naming its key", () => {
  const features: Record<string, unknown> = {
    _class_name: "UNet2DModel",
    act_fn: "gelu",
    mid_block_type: "UNetMidBlock2DSimpleCrossAttn",
    only_cross_attention: true,
    dual_cross_attention: true,
    class_embed_type: "timestep",
    num_class_embeds: 10,
    encoder_hid_dim: 32,
    encoder_hid_dim_type: "text_proj",
    addition_embed_type: "image",
    resnet_time_scale_shift: "scale_shift",
    resnet_skip_time_act: true,
    resnet_out_scale_factor: 2,
    time_embedding_type: "fourier",
    time_embedding_dim: 640,
    time_embedding_act_fn: "silu",
    timestep_post_act: "silu",
    time_cond_proj_dim: 256,
    conv_in_kernel: 1,
    conv_out_kernel: 1,
    center_input_sample: true,
    downsample_padding: 0,
    mid_block_scale_factor: 2,
    mid_block_only_cross_attention: true,
    cross_attention_norm: "layer_norm",
    attention_type: "gated",
    reverse_transformer_layers_per_block: [[1, 1], 1, 1, 1],
    class_embeddings_concat: true,
  };
  for (const [key, value] of Object.entries(features)) {
    assert.throws(() => parse({ [key]: value }), (error: Error) => {
      assert.equal(error.name, "FormatError");
      assert.match(error.message, new RegExp(`feature that is not supported: "${key}" must be`));
      return true;
    });
  }
});

Deno.test("parseUNetConfig() refuses block types, lists and divisors that do not fit", () => {
  const wrong: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ down_block_types: ["DownBlock2D"] }, /"down_block_types" must be 4 of/],
    [{ up_block_types: undefined }, /"up_block_types" must be 4 of .*: current value is absent/],
    [
      { down_block_types: [...SD15.down_block_types.slice(1), "AttnDownBlock2D"] },
      /"down_block_types" must be 4 of "CrossAttnDownBlock2D", "DownBlock2D"/,
    ],
    [{ attention_head_dim: [8, 8] }, /"attention_head_dim" must be a whole number >= 1 or a list/],
    [{ attention_head_dim: 7 }, /"attention_head_dim" must divide the 320 channels of level 0/],
    [{ norm_num_groups: 48 }, /"norm_num_groups" must divide the 320 channels of level 0/],
    [{ layers_per_block: [2, 2, 2, 2] }, /"layers_per_block" must be a whole number/],
    [{ block_out_channels: [] }, /"block_out_channels" must be a list of whole numbers >= 1/],
    [{ norm_eps: "small" }, /"norm_eps" must be a number/],
    [
      { addition_embed_type: "text_time" },
      /"addition_time_embed_dim" must be a whole number >= 1: current value is absent/,
    ],
  ];
  for (const [changes, message] of wrong) {
    assert.throws(() => parse(changes), { name: "FormatError", message });
  }
});
