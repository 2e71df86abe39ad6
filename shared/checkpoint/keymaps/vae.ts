/**
 * VAE keys: single-file names (SPEC 2.4) to diffusers keys, and the attention names of old diffusers
 * exports to today's.
 *
 * @module
 */

import { renameFirst, type RenameRule } from "./rename.ts";

/** Prefixes of a single file's VAE tensors; a VAE on its own may come without any. */
export const VAE_PREFIXES = ["first_stage_model.", "vae."] as const;

const ATTENTION: Readonly<Record<string, string>> = {
  norm: "group_norm",
  q: "to_q",
  k: "to_k",
  v: "to_v",
  proj_out: "to_out.0",
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
    [/^((?:post_)?quant_conv\.)/, "$1"],
    [/^(encoder|decoder)\.(conv_in|conv_out)\./, "$1.$2."],
    [/^(encoder|decoder)\.norm_out\./, "$1.conv_norm_out."],
    [/^(encoder|decoder)\.mid\.block_1\./, "$1.mid_block.resnets.0."],
    [/^(encoder|decoder)\.mid\.block_2\./, "$1.mid_block.resnets.1."],
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

/** Today's diffusers name of a diffusers VAE key that may be an old one. */
export function modernVaeKey(key: string): string {
  return key.replace(
    /(mid_block\.attentions\.\d+)\.(query|key|value|proj_attn)\./,
    (_, location: string, name: string) => `${location}.${LEGACY_ATTENTION[name]}.`,
  );
}
