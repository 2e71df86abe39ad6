/** CLIP text encoder keys of SD1.5 single files to transformers keys (`docs/spec.md`, "Single files"). @module */

/** Prefix of a single file's text encoder tensors. */
export const CLIP_PREFIX = "cond_stage_model.transformer.";

/** Adds the `text_model.` level that some old files lack; the names are equal otherwise. */
export function modernClipKey(key: string): string {
  return /^(embeddings|encoder|final_layer_norm)\./.test(key) ? `text_model.${key}` : key;
}
