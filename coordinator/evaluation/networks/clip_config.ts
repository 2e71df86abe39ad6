/** Sizes of a CLIP model, from transformers' `config.json` or OpenCLIP's `open_clip_config.json`. @module */

import {
  type ClipTextConfig,
  parseClipTextConfig,
} from "../../../shared/models/config/clip_config.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";

export interface ClipVisionConfig {
  readonly width: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  /** Pixels of a picture, and of a patch, on each side. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly activation: "gelu" | "quick_gelu";
  readonly layerNormEps: number;
}

export interface ClipConfig {
  readonly vision: ClipVisionConfig;
  readonly text: ClipTextConfig;
  /** Width of the embeddings. */
  readonly projectionDim: number;
}

/** @throws {FormatError} naming file and field */
export async function readClipConfig(path: string): Promise<ClipConfig> {
  const fields = await ConfigFields.read(path);
  return fields.has("model_cfg") ? ofOpenClip(fields.section("model_cfg")) : ofTransformers(fields);
}

function ofTransformers(fields: ConfigFields): ClipConfig {
  const vision = fields.section("vision_config");
  const projectionDim = fields.count("projection_dim", 512);
  return {
    vision: {
      width: vision.count("hidden_size", 768),
      hidden: vision.count("intermediate_size", 3072),
      layers: vision.count("num_hidden_layers", 12),
      heads: vision.count("num_attention_heads", 12),
      imageSize: vision.count("image_size", 224),
      patchSize: vision.count("patch_size", 32),
      activation: vision.choice("hidden_act", ["quick_gelu", "gelu"], "quick_gelu"),
      layerNormEps: vision.number("layer_norm_eps", 1e-5),
    },
    text: { ...parseClipTextConfig(fields.section("text_config")), projectionDim },
    projectionDim,
  };
}

function ofOpenClip(model: ConfigFields): ClipConfig {
  const vision = model.section("vision_cfg"), text = model.section("text_cfg");
  const projectionDim = model.count("embed_dim");
  const activation = model.boolean("quick_gelu", false) ? "quick_gelu" : "gelu";
  const layerNormEps = 1e-5;
  const width = vision.count("width", 768), textWidth = text.count("width", 512);
  const vocabSize = text.count("vocab_size", 49408);
  return {
    vision: {
      ...{ width, activation, layerNormEps },
      hidden: Math.trunc(width * vision.number("mlp_ratio", 4)),
      layers: vision.count("layers", 12),
      heads: width / vision.count("head_width", 64),
      imageSize: vision.count("image_size", 224),
      patchSize: vision.count("patch_size", 16),
    },
    text: {
      ...{ vocabSize, activation, layerNormEps, projectionDim },
      hiddenSize: textWidth,
      intermediateSize: Math.trunc(textWidth * text.number("mlp_ratio", 4)),
      numLayers: text.count("layers", 12),
      numHeads: text.count("heads", 8),
      maxLength: text.count("context_length", 77),
      bosTokenId: vocabSize - 2,
      eosTokenId: vocabSize - 1,
      // OpenCLIP fills up with 0; what lies behind the end token changes nothing.
      padTokenId: 0,
    },
    projectionDim,
  };
}
