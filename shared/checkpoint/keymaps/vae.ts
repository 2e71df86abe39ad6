/**
 * VAE keys: single-file names (`docs/spec.md`, "Single files") to diffusers keys and back, and the attention names of old
 * diffusers exports to today's.
 *
 * @module
 */

import type { Shape } from "../../tensor/tensor.ts";
import { escaped, invert, prefixRules, renameFirst, type RenameRule } from "./rename.ts";

/** Prefixes of a single file's VAE tensors; a VAE on its own may come without any. */
export const VAE_PREFIXES = ["first_stage_model.", "vae."] as const;

const ATTENTION: Readonly<Record<string, string>> = {
  norm: "group_norm",
  q: "to_q",
  k: "to_k",
  v: "to_v",
  proj_out: "to_out.0",
};

const DIFFUSERS_ATTENTION = invert(ATTENTION);
const DIFFUSERS_ATTENTION_NAME = Object.values(ATTENTION).map(escaped).join("|");

/** Prefixes that are the same for every config. */
const FIXED: Readonly<Record<string, string>> = {
  "quant_conv.": "quant_conv.",
  "post_quant_conv.": "post_quant_conv.",
  ...Object.fromEntries(
    ["encoder", "decoder"].flatMap((side) => [
      [`${side}.conv_in.`, `${side}.conv_in.`],
      [`${side}.conv_out.`, `${side}.conv_out.`],
      [`${side}.norm_out.`, `${side}.conv_norm_out.`],
      [`${side}.mid.block_1.`, `${side}.mid_block.resnets.0.`],
      [`${side}.mid.block_2.`, `${side}.mid_block.resnets.1.`],
    ]),
  ),
};

/** Old diffusers exports. */
const LEGACY_ATTENTION: Readonly<Record<string, string>> = {
  query: "to_q",
  key: "to_k",
  value: "to_v",
  proj_attn: "to_out.0",
};

function rules(levels: number): readonly RenameRule[] {
  // The single file counts decoder levels from the finest, diffusers from the coarsest.
  const up = (level: string) => levels - 1 - Number(level);
  return [
    ...prefixRules(FIXED),
    [
      /^(encoder|decoder)\.mid\.attn_1\.(norm|q|k|v|proj_out)\./,
      (side, name) => `${side}.mid_block.attentions.0.${ATTENTION[name!]}.`,
    ],
    [/^encoder\.down\.(\d+)\.block\.(\d+)\./, "encoder.down_blocks.$1.resnets.$2."],
    [/^encoder\.down\.(\d+)\.downsample\./, "encoder.down_blocks.$1.downsamplers.0."],
    [/^decoder\.up\.(\d+)\.block\.(\d+)\./, (i, j) => `decoder.up_blocks.${up(i!)}.resnets.${j}.`],
    [/^decoder\.up\.(\d+)\.upsample\./, (i) => `decoder.up_blocks.${up(i!)}.upsamplers.0.`],
  ];
}

/**
 * @param levels resolutions of the VAE, from the config
 * @returns a function from a key without prefix to its diffusers key, or `undefined` for a key that no VAE has
 */
export function vaeKeyMap(levels: number): (key: string) => string | undefined {
  const table = rules(levels);
  return (key) => renameFirst(key, table)?.replace(".nin_shortcut.", ".conv_shortcut.");
}

/**
 * The inverse of `vaeKeyMap()`.
 *
 * @returns a function from a diffusers key to its key without prefix, or `undefined` for a key that no VAE has
 */
export function vaeSingleFileKey(levels: number): (key: string) => string | undefined {
  const up = (block: string) => levels - 1 - Number(block);
  const table: readonly RenameRule[] = [
    ...prefixRules(invert(FIXED)),
    [
      new RegExp(
        `^(encoder|decoder)\\.mid_block\\.attentions\\.0\\.(${DIFFUSERS_ATTENTION_NAME})\\.`,
      ),
      (side, name) => `${side}.mid.attn_1.${DIFFUSERS_ATTENTION[name!]}.`,
    ],
    [/^encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\./, "encoder.down.$1.block.$2."],
    [/^encoder\.down_blocks\.(\d+)\.downsamplers\.0\./, "encoder.down.$1.downsample."],
    [/^decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\./, (i, j) => `decoder.up.${up(i!)}.block.${j}.`],
    [/^decoder\.up_blocks\.(\d+)\.upsamplers\.0\./, (i) => `decoder.up.${up(i!)}.upsample.`],
  ];
  return (key) => renameFirst(key, table)?.replace(".conv_shortcut.", ".nin_shortcut.");
}

/** A tensor's shape in single files, which keep the attention's matrices as 1x1 convolutions. */
export function vaeSingleFileShape(key: string, shape: Shape): Shape {
  return /\.mid_block\.attentions\.\d+\./.test(key) && shape.length === 2
    ? [...shape, 1, 1]
    : shape;
}

/** Today's diffusers name of a diffusers VAE key that may be an old one. */
export function modernVaeKey(key: string): string {
  return key.replace(
    /(mid_block\.attentions\.\d+)\.(query|key|value|proj_attn)\./,
    (_, location: string, name: string) => `${location}.${LEGACY_ATTENTION[name]}.`,
  );
}
