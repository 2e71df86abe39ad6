/**
 * Which block of the U-Net a tensor belongs to, by its key in a single file, as merging by blocks counts them
 * (supermerger): 12 + 1 + 12 blocks and BASE for all that is outside the U-Net, SDXL 9 + 1 + 9.
 *
 * @module
 */

import type { Family } from "../models/families.ts";
import { UNET_PREFIX } from "../checkpoint/keymaps/unet.ts";
import type { BlockId } from "../models/blocks.ts";

/** Text encoders, VAE, and running averages. */
export const BASE = "BASE";

/** Input blocks of a family's U-Net; it has as many output blocks. */
const LEVELS: Readonly<Record<Family, number>> = { sd15: 12, sdxl: 9 };

/** The blocks of a family's U-Net in the order in which their weights are written. */
export function mergeBlocks(family: Family): readonly BlockId[] {
  const numbers = Array.from({ length: LEVELS[family] }, (_, i) => String(i).padStart(2, "0"));
  return [...numbers.map((n) => `IN${n}`), "M00", ...numbers.map((n) => `OUT${n}`)];
}

const NUMBERED = /^(input|output)_blocks\.(\d+)\./;

/**
 * What conditions all blocks (time and size embeddings) counts as the first block, the last layers as the last one.
 *
 * @returns a block of `mergeBlocks()`, or `BASE`
 */
export function blockOfKey(key: string, family: Family): BlockId | typeof BASE {
  if (!key.startsWith(UNET_PREFIX)) return BASE;
  const layer = key.slice(UNET_PREFIX.length);
  const [, side, number = ""] = NUMBERED.exec(layer) ?? [];
  if (side !== undefined) return `${side === "input" ? "IN" : "OUT"}${number.padStart(2, "0")}`;
  if (layer.startsWith("middle_block.")) return "M00";
  if (layer.startsWith("time_embed.") || layer.startsWith("label_emb.")) return "IN00";
  if (layer.startsWith("out.")) return mergeBlocks(family).at(-1)!;
  return BASE;
}
