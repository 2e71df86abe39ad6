/** CLIP text encoder keys of SD1.5 single files to transformers keys (`docs/spec.md`, "Single files"). @module */

/** Adds the `text_model.` level that some old files lack; the names are equal otherwise. */
export function modernClipKey(key: string): string {
  return /^(embeddings|encoder|final_layer_norm)\./.test(key) ? `text_model.${key}` : key;
}
