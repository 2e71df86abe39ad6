/**
 * Configs back to the `config.json`s that `unet_config.ts`, `clip_config.ts` and `vae_config.ts` parse (diffusers and
 * transformers): reading what is written here gives the same config.
 *
 * @module
 */

import type { ClipTextConfig } from "./clip_config.ts";
import type { UNetConfig } from "./unet_config.ts";
import type { VaeConfig } from "./vae_config.ts";

export type ConfigJson = Readonly<Record<string, unknown>>;

export function unetConfigJson(config: UNetConfig): ConfigJson {
  const { addition } = config;
  const types = (hasAttention: readonly boolean[], direction: "Down" | "Up") =>
    hasAttention.map((has) => `${has ? "CrossAttn" : ""}${direction}Block2D`);
  return {
    _class_name: "UNet2DConditionModel",
    sample_size: config.sampleSize,
    in_channels: config.inChannels,
    out_channels: config.outChannels,
    block_out_channels: config.blockOutChannels,
    layers_per_block: config.layersPerBlock,
    down_block_types: types(config.downAttention, "Down"),
    up_block_types: types(config.upAttention, "Up"),
    cross_attention_dim: config.crossAttentionDim,
    attention_head_dim: config.numHeads,
    transformer_layers_per_block: config.transformerLayers,
    norm_num_groups: config.normNumGroups,
    norm_eps: config.normEps,
    use_linear_projection: config.useLinearProjection,
    flip_sin_to_cos: config.flipSinToCos,
    freq_shift: config.freqShift,
    ...(addition && {
      addition_embed_type: "text_time",
      addition_time_embed_dim: addition.timeEmbedDim,
      projection_class_embeddings_input_dim: addition.inputDim,
    }),
  };
}

export function clipTextConfigJson(config: ClipTextConfig, isProjected: boolean): ConfigJson {
  return {
    architectures: [isProjected ? "CLIPTextModelWithProjection" : "CLIPTextModel"],
    model_type: "clip_text_model",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    max_position_embeddings: config.maxLength,
    hidden_act: config.activation,
    layer_norm_eps: config.layerNormEps,
    bos_token_id: config.bosTokenId,
    eos_token_id: config.eosTokenId,
    pad_token_id: config.padTokenId,
    ...(config.projectionDim !== undefined && { projection_dim: config.projectionDim }),
  };
}

export function vaeConfigJson(config: VaeConfig): ConfigJson {
  const levels = config.blockOutChannels.length;
  return {
    _class_name: "AutoencoderKL",
    in_channels: config.inChannels,
    out_channels: config.outChannels,
    latent_channels: config.latentChannels,
    block_out_channels: config.blockOutChannels,
    layers_per_block: config.layersPerBlock,
    down_block_types: new Array(levels).fill("DownEncoderBlock2D"),
    up_block_types: new Array(levels).fill("UpDecoderBlock2D"),
    norm_num_groups: config.normNumGroups,
    scaling_factor: config.scalingFactor,
  };
}
