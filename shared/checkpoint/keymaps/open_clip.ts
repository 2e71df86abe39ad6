/**
 * OpenCLIP's names of a CLIP model (SDXL's second text encoder in single files, `docs/spec.md`, "Single files"; networks that
 * judge pictures) to transformers keys, and back. The fused projection of queries, keys and values becomes three tensors over
 * the same bytes.
 *
 * @module
 */

import { rowsOf } from "../../models/weight_rows.ts";
import type { WeightLocation, WeightTable } from "../../models/weights.ts";
import { renameFirst, type RenameRule } from "./rename.ts";

/** Prefix of a single file's second text encoder. */
export const OPEN_CLIP_PREFIX = "conditioner.embedders.1.model.";

/** One of an OpenCLIP model's two transformers. */
interface Tower {
  /** A layer's keys, as a regular expression with the layer's index. */
  readonly layer: string;
  /** Where transformers has the layers. */
  readonly layers: string;
  /** Of keys outside the layers. */
  readonly others: readonly RenameRule[];
}

const TEXT: Tower = {
  layer: String.raw`^transformer\.resblocks\.(\d+)\.`,
  layers: "text_model.encoder.layers",
  others: [
    [/^token_embedding\.weight$/, "text_model.embeddings.token_embedding.weight"],
    [/^positional_embedding$/, "text_model.embeddings.position_embedding.weight"],
    [/^ln_final\./, "text_model.final_layer_norm."],
    // OpenCLIP multiplies from the right, transformers' linear layer from the left: another key, not another name.
    [/^text_projection$/, "text_projection"],
    [/^logit_scale$/, "logit_scale"],
  ],
};

const VISION: Tower = {
  layer: String.raw`^visual\.transformer\.resblocks\.(\d+)\.`,
  layers: "vision_model.encoder.layers",
  others: [
    [/^visual\.conv1\.weight$/, "vision_model.embeddings.patch_embedding.weight"],
    [/^visual\.class_embedding$/, "vision_model.embeddings.class_embedding"],
    [/^visual\.positional_embedding$/, "vision_model.embeddings.position_embedding.weight"],
    // transformers' own spelling.
    [/^visual\.ln_pre\./, "vision_model.pre_layrnorm."],
    [/^visual\.ln_post\./, "vision_model.post_layernorm."],
    [/^visual\.proj$/, "visual_projection"],
  ],
};

/** Order of the rows in a fused projection. */
const FUSED_ORDER = ["q_proj", "k_proj", "v_proj"] as const;

/**
 * @param table the encoder's tensors under keys without `OPEN_CLIP_PREFIX`; keys that no OpenCLIP encoder has stay as
 *   they are, so they are reported as unused
 */
export function openClipTable(table: WeightTable): WeightTable {
  return renameTower(table, TEXT);
}

/** As `openClipTable()`, for the encoder of images. */
export function openClipVisionTable(table: WeightTable): WeightTable {
  return renameTower(table, VISION);
}

function renameTower(table: WeightTable, { layer, layers, others }: Tower): WeightTable {
  const rules: readonly RenameRule[] = [
    ...others,
    [new RegExp(`${layer}ln_([12])\\.`), (i, n) => `${layers}.${i}.layer_norm${n}.`],
    [new RegExp(`${layer}mlp\\.c_fc\\.`), (i) => `${layers}.${i}.mlp.fc1.`],
    [new RegExp(`${layer}mlp\\.c_proj\\.`), (i) => `${layers}.${i}.mlp.fc2.`],
    [new RegExp(`${layer}attn\\.out_proj\\.`), (i) => `${layers}.${i}.self_attn.out_proj.`],
  ];
  const fused = new RegExp(`${layer}attn\\.in_proj_(weight|bias)$`);
  const renamed = new Map<string, WeightLocation>();
  for (const [key, location] of table) {
    const [, index, kind] = fused.exec(key) ?? [];
    if (index === undefined) renamed.set(renameFirst(key, rules) ?? key, location);
    else {
      FUSED_ORDER.forEach((name, part) =>
        renamed.set(`${layers}.${index}.self_attn.${name}.${kind}`, third(location, part))
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
