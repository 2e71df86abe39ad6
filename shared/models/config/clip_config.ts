/** A CLIP text encoder's `config.json` (transformers `CLIPTextModel`). @module */

import { FormatError } from "../../errors.ts";
import type { ConfigFields } from "./fields.ts";

export interface ClipTextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Tokens of one prompt, begin and end included. */
  readonly maxLength: number;
  readonly activation: "quick_gelu" | "gelu";
  readonly layerNormEps: number;
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  readonly padTokenId: number;
  /** Width of the pooled output's projection; encoders without one may name it, too. */
  readonly projectionDim?: number;
}

/**
 * transformers once wrote this end token into every CLIP config although the vocabulary's is another
 * one; its encoder then takes the largest id of a row as the end. The begin (0) and padding (1) beside it
 * are as wrong: SD1.5 pads with the end.
 */
const LEGACY_EOS_TOKEN_ID = 2;

/** @throws {FormatError} on a missing or impossible field */
export function parseClipTextConfig(fields: ConfigFields): ClipTextConfig {
  const vocabSize = fields.count("vocab_size", 49408);
  const eos = fields.firstIndex("eos_token_id", vocabSize - 1);
  const eosTokenId = eos === LEGACY_EOS_TOKEN_ID ? vocabSize - 1 : eos;
  const bos = fields.index("bos_token_id", vocabSize - 2);
  const pad = fields.index("pad_token_id", eosTokenId);
  const config: ClipTextConfig = {
    vocabSize,
    hiddenSize: fields.count("hidden_size", 512),
    intermediateSize: fields.count("intermediate_size", 2048),
    numLayers: fields.count("num_hidden_layers", 12),
    numHeads: fields.count("num_attention_heads", 8),
    maxLength: fields.count("max_position_embeddings", 77),
    activation: fields.choice("hidden_act", ["quick_gelu", "gelu"], "quick_gelu"),
    layerNormEps: fields.number("layer_norm_eps", 1e-5),
    bosTokenId: bos === 0 && eos === LEGACY_EOS_TOKEN_ID ? vocabSize - 2 : bos,
    eosTokenId,
    padTokenId: eos === LEGACY_EOS_TOKEN_ID ? eosTokenId : pad,
    ...(fields.has("projection_dim") && { projectionDim: fields.count("projection_dim") }),
  };
  if (config.hiddenSize % config.numHeads !== 0) {
    throw new FormatError(
      `Config "${fields.path}": "num_attention_heads" must divide the hidden size ` +
        `${config.hiddenSize}: current value is ${config.numHeads}`,
    );
  }
  return config;
}
