/**
 * SDXL's second text encoder in single files (names of OpenCLIP, `docs/spec.md`, "Single files") to transformers keys, and back. Its fused
 * projection of queries, keys and values becomes three tensors over the same bytes.
 *
 * @module
 */

import { rowsOf } from "../../models/weight_rows.ts";
import type { WeightLocation, WeightTable } from "../../models/weights.ts";
import { renameFirst, type RenameRule } from "./rename.ts";

/** Prefix of a single file's second text encoder. */
export const OPEN_CLIP_PREFIX = "conditioner.embedders.1.model.";

const LAYER = String.raw`^transformer\.resblocks\.(\d+)\.`;
const RULES: readonly RenameRule[] = [
  [/^token_embedding\.weight$/, "text_model.embeddings.token_embedding.weight"],
  [/^positional_embedding$/, "text_model.embeddings.position_embedding.weight"],
  [/^ln_final\./, "text_model.final_layer_norm."],
  // OpenCLIP multiplies from the right, transformers' linear layer from the left: another key, not another name.
  [/^text_projection$/, "text_projection"],
  [/^logit_scale$/, "logit_scale"],
  [new RegExp(`${LAYER}ln_([12])\\.`), (i, n) => `text_model.encoder.layers.${i}.layer_norm${n}.`],
  [new RegExp(`${LAYER}mlp\\.c_fc\\.`), (i) => `text_model.encoder.layers.${i}.mlp.fc1.`],
  [new RegExp(`${LAYER}mlp\\.c_proj\\.`), (i) => `text_model.encoder.layers.${i}.mlp.fc2.`],
  [
    new RegExp(`${LAYER}attn\\.out_proj\\.`),
    (i) => `text_model.encoder.layers.${i}.self_attn.out_proj.`,
  ],
];
const FUSED = new RegExp(`${LAYER}attn\\.in_proj_(weight|bias)$`);
/** Order of the rows in a fused projection. */
const FUSED_ORDER = ["q_proj", "k_proj", "v_proj"] as const;

/**
 * @param table the encoder's tensors under keys without `OPEN_CLIP_PREFIX`; keys that no OpenCLIP encoder has stay as
 *   they are, so they are reported as unused
 */
export function openClipTable(table: WeightTable): WeightTable {
  const renamed = new Map<string, WeightLocation>();
  for (const [key, location] of table) {
    const [, layer, kind] = FUSED.exec(key) ?? [];
    if (layer === undefined) renamed.set(renameFirst(key, RULES) ?? key, location);
    else {
      FUSED_ORDER.forEach((name, part) =>
        renamed.set(
          `text_model.encoder.layers.${layer}.self_attn.${name}.${kind}`,
          third(location, part),
        )
      );
    }
  }
  return renamed;
}

/** One of three equal runs of rows. */
function third(location: WeightLocation, part: number): WeightLocation {
  const rows = (location.shape[0] ?? 0) / FUSED_ORDER.length;
  return rowsOf(location, [part * rows, (part + 1) * rows]);
}

const TRANSFORMERS_LAYER = String.raw`^text_model\.encoder\.layers\.(\d+)\.`;
const INVERSE_RULES: readonly RenameRule[] = [
  [/^text_model\.embeddings\.token_embedding\.weight$/, "token_embedding.weight"],
  [/^text_model\.embeddings\.position_embedding\.weight$/, "positional_embedding"],
  [/^text_model\.final_layer_norm\./, "ln_final."],
  [/^text_projection\.weight$/, "text_projection"],
  [
    new RegExp(`${TRANSFORMERS_LAYER}self_attn\\.[qkv]_proj\\.`),
    (i) => `transformer.resblocks.${i}.attn.in_proj_`,
  ],
  [
    new RegExp(`${TRANSFORMERS_LAYER}self_attn\\.out_proj\\.`),
    (i) => `transformer.resblocks.${i}.attn.out_proj.`,
  ],
  [
    new RegExp(`${TRANSFORMERS_LAYER}layer_norm([12])\\.`),
    (i, n) => `transformer.resblocks.${i}.ln_${n}.`,
  ],
  [new RegExp(`${TRANSFORMERS_LAYER}mlp\\.fc1\\.`), (i) => `transformer.resblocks.${i}.mlp.c_fc.`],
  [
    new RegExp(`${TRANSFORMERS_LAYER}mlp\\.fc2\\.`),
    (i) => `transformer.resblocks.${i}.mlp.c_proj.`,
  ],
];

/**
 * The OpenCLIP key without prefix whose tensor holds that of a transformers key: a third of its rows for queries (the
 * first), keys and values, the transpose for `text_projection.weight`.
 *
 * @returns `undefined` for a key that no encoder has
 */
export function openClipKey(key: string): string | undefined {
  return renameFirst(key, INVERSE_RULES);
}

/** The transformers keys whose rows, one after another, make up an OpenCLIP tensor that holds `key`. */
export function openClipSources(key: string): readonly string[] {
  const match = /^(.*\.self_attn\.)[qkv]_proj(\..*)$/.exec(key);
  return match ? FUSED_ORDER.map((name) => `${match[1]}${name}${match[2]}`) : [key];
}
