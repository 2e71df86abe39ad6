import assert from "node:assert/strict";
import { SD15_TEXT, SD15_VAE } from "../../../../shared/models/config/known_configs.ts";
import { parseClipTextConfig } from "../../../../shared/models/config/clip_config.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../../shared/models/config/sabw_config.ts";
import { parseVaeConfig, vaeFactor } from "../../../../shared/models/config/vae_config.ts";

/** `text_encoder/config.json` of stable-diffusion-v1-5, ids included: they are not those of its vocabulary. */
const SD15_CLIP = {
  architectures: ["CLIPTextModel"],
  attention_dropout: 0.0,
  bos_token_id: 0,
  dropout: 0.0,
  eos_token_id: 2,
  hidden_act: "quick_gelu",
  hidden_size: 768,
  initializer_factor: 1.0,
  initializer_range: 0.02,
  intermediate_size: 3072,
  layer_norm_eps: 1e-05,
  max_position_embeddings: 77,
  model_type: "clip_text_model",
  num_attention_heads: 12,
  num_hidden_layers: 12,
  pad_token_id: 1,
  projection_dim: 768,
  torch_dtype: "float32",
  transformers_version: "4.22.0.dev0",
  vocab_size: 49408,
};
const clip = (changes: Record<string, unknown> = {}) =>
  parseClipTextConfig(new ConfigFields({ ...SD15_CLIP, ...changes }, "text/config.json"));

Deno.test("parseClipTextConfig() of SD1.5's published file is the built-in config of its single files", () => {
  assert.deepEqual(clip(), SD15_TEXT);
});

Deno.test("parseClipTextConfig() corrects the begin, end and padding that transformers once wrote", () => {
  const { bosTokenId, eosTokenId, padTokenId } = clip();
  assert.deepEqual([bosTokenId, eosTokenId, padTokenId], [49406, 49407, 49407]);
  const own = clip({ bos_token_id: 298, eos_token_id: 299, pad_token_id: 3, vocab_size: 300 });
  assert.deepEqual([own.bosTokenId, own.eosTokenId, own.padTokenId], [298, 299, 3]);
});

Deno.test("parseClipTextConfig() refuses other activations and heads that do not divide", () => {
  assert.equal(clip({ hidden_act: "gelu" }).activation, "gelu");
  assert.throws(() => clip({ hidden_act: "relu" }), {
    name: "FormatError",
    message: 'Config "text/config.json": "hidden_act" must be one of "quick_gelu", "gelu": ' +
      'current value is "relu"',
  });
  assert.throws(() => clip({ num_attention_heads: 7 }), {
    name: "FormatError",
    message: 'Config "text/config.json": "num_attention_heads" must divide the hidden size 768: ' +
      "current value is 7",
  });
});

/** `vae/config.json` of stable-diffusion-v1-5, which is older than its scaling_factor. */
const SD15_VAE_JSON = {
  _class_name: "AutoencoderKL",
  act_fn: "silu",
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array(4).fill("DownEncoderBlock2D"),
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 512,
  up_block_types: new Array(4).fill("UpDecoderBlock2D"),
};
const vae = (changes: Record<string, unknown> = {}) =>
  parseVaeConfig(new ConfigFields({ ...SD15_VAE_JSON, ...changes }, "vae/config.json"));

Deno.test("parseVaeConfig() of SD1.5's published file is the built-in config of its single files", () => {
  assert.deepEqual(vae(), SD15_VAE);
  assert.equal(vaeFactor(SD15_VAE), 8);
  assert.equal(vae({ scaling_factor: 0.13025 }).scalingFactor, 0.13025);
});

Deno.test("parseVaeConfig() refuses other autoencoders, naming the key", () => {
  const features: Record<string, unknown> = {
    _class_name: "AutoencoderTiny",
    act_fn: "relu",
    use_quant_conv: false,
    use_post_quant_conv: false,
    mid_block_add_attention: false,
    shift_factor: 0.1159,
    latents_mean: [0, 0, 0, 0],
    latents_std: [1, 1, 1, 1],
  };
  for (const [key, value] of Object.entries(features)) {
    assert.throws(() => vae({ [key]: value }), {
      name: "FormatError",
      message: new RegExp(`"${key}" must be`),
    });
  }
  assert.throws(() => vae({ norm_num_groups: 48 }), /"norm_num_groups" must divide 128 channels/);
  assert.throws(() => vae({ up_block_types: ["UpDecoderBlock2D"] }), /"up_block_types" must be 4/);
  assert.throws(() => vae({ block_out_channels: undefined }), /current value is absent/);
});

const SABW_JSON = {
  in_channels: 320,
  num_experts: 3,
  hidden_size: 128,
  num_attn_heads: 8,
  num_layers: 2,
  cross_attn_dim: 768,
  temb_channels: 1280,
};
const sabw = (changes: Record<string, unknown> = {}) =>
  parseSabwConfig(new ConfigFields({ ...SABW_JSON, ...changes }, "aggregator_0/config.json"));

Deno.test("parseSabwConfig() reads the paper's keys; groups are 32 where the file does not say", () => {
  assert.equal(sabw().normNumGroups, 32);
  assert.equal(sabw({ norm_num_groups: 4 }).normNumGroups, 4);
  for (const key of Object.keys(SABW_JSON)) {
    assert.throws(() => sabw({ [key]: undefined }), {
      name: "FormatError",
      message: new RegExp(`"${key}" must be a whole number >= 1: current value is absent`),
    });
  }
  assert.throws(() => sabw({ num_attn_heads: 5 }), /"num_attn_heads" must divide the hidden size/);
  assert.throws(() => sabw({ norm_num_groups: 48 }), /"norm_num_groups" must divide the hidden/);
});
