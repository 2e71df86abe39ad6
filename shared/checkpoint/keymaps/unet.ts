/**
 * U-Net keys of single-file checkpoints (the names of the LDM code, `docs/spec.md`, "Single files") to diffusers keys,
 * and back.
 *
 * @module
 */

import type { UNetConfig } from "../../models/config/unet_config.ts";
import { escaped, invert, prefixRules, renameFirst, type RenameRule } from "./rename.ts";

/** Prefix of a single file's U-Net tensors. */
export const UNET_PREFIX = "model.diffusion_model.";

/** Prefixes that are the same for every config. */
const FIXED: Readonly<Record<string, string>> = {
  "time_embed.0.": "time_embedding.linear_1.",
  "time_embed.2.": "time_embedding.linear_2.",
  "label_emb.0.0.": "add_embedding.linear_1.",
  "label_emb.0.2.": "add_embedding.linear_2.",
  "out.0.": "conv_norm_out.",
  "out.2.": "conv_out.",
  "input_blocks.0.0.": "conv_in.",
  "middle_block.1.": "mid_block.attentions.0.",
};

/** Names inside one residual block. */
const RESNET: Readonly<Record<string, string>> = {
  "in_layers.0": "norm1",
  "in_layers.2": "conv1",
  "emb_layers.1": "time_emb_proj",
  "out_layers.0": "norm2",
  "out_layers.3": "conv2",
  "skip_connection": "conv_shortcut",
};
const RESNET_LAYER = Object.keys(RESNET).map(escaped).join("|");
const DIFFUSERS_RESNET = invert(RESNET);
const DIFFUSERS_RESNET_LAYER = Object.values(RESNET).join("|");

function rules(layersPerBlock: number): readonly RenameRule[] {
  const downStride = layersPerBlock + 1;
  const down = (n: string) => {
    const index = Number(n) - 1;
    return { block: Math.floor(index / downStride), layer: index % downStride };
  };
  const up = (n: string) => ({
    block: Math.floor(Number(n) / downStride),
    layer: Number(n) % downStride,
  });
  return [
    ...prefixRules(FIXED),
    [
      /^input_blocks\.([1-9]\d*)\.0\.op\./,
      (n) => `down_blocks.${down(n!).block}.downsamplers.0.conv.`,
    ],
    [new RegExp(`^input_blocks\\.([1-9]\\d*)\\.0\\.(${RESNET_LAYER})\\.`), (n, layer) => {
      const at = down(n!);
      return `down_blocks.${at.block}.resnets.${at.layer}.${RESNET[layer!]}.`;
    }],
    [/^input_blocks\.([1-9]\d*)\.1\./, (n) => {
      const at = down(n!);
      return `down_blocks.${at.block}.attentions.${at.layer}.`;
    }],
    [
      new RegExp(`^middle_block\\.0\\.(${RESNET_LAYER})\\.`),
      (layer) => `mid_block.resnets.0.${RESNET[layer!]}.`,
    ],
    [
      new RegExp(`^middle_block\\.2\\.(${RESNET_LAYER})\\.`),
      (layer) => `mid_block.resnets.1.${RESNET[layer!]}.`,
    ],
    [/^output_blocks\.(\d+)\.[12]\.conv\./, (n) => `up_blocks.${up(n!).block}.upsamplers.0.conv.`],
    [new RegExp(`^output_blocks\\.(\\d+)\\.0\\.(${RESNET_LAYER})\\.`), (n, layer) => {
      const at = up(n!);
      return `up_blocks.${at.block}.resnets.${at.layer}.${RESNET[layer!]}.`;
    }],
    [/^output_blocks\.(\d+)\.1\./, (n) => {
      const at = up(n!);
      return `up_blocks.${at.block}.attentions.${at.layer}.`;
    }],
  ];
}

/**
 * @param layersPerBlock residual blocks per level, from the config: it decides which level a number is in
 * @returns a function from a key without `UNET_PREFIX` to its diffusers key, or `undefined` for a key that no U-Net has
 */
export function unetKeyMap(layersPerBlock: number): (key: string) => string | undefined {
  const table = rules(layersPerBlock);
  return (key) => renameFirst(key, table);
}

/**
 * The inverse of `unetKeyMap()`.
 *
 * @param config which levels have attention decides where an up-sampling stands
 * @returns a function from a diffusers key to its key without `UNET_PREFIX`, or `undefined` for a key that no U-Net has
 */
export function unetSingleFileKey(
  { layersPerBlock, upAttention }: Pick<UNetConfig, "layersPerBlock" | "upAttention">,
): (key: string) => string | undefined {
  const stride = layersPerBlock + 1;
  const input = (block: string, layer: string | number) =>
    `input_blocks.${1 + Number(block) * stride + Number(layer)}`;
  const output = (block: string, layer: string | number) =>
    `output_blocks.${Number(block) * stride + Number(layer)}`;
  const resnet = (location: string) => new RegExp(`^${location}\\.(${DIFFUSERS_RESNET_LAYER})\\.`);
  const table: readonly RenameRule[] = [
    ...prefixRules(invert(FIXED)),
    [/^down_blocks\.(\d+)\.downsamplers\.0\.conv\./, (b) => `${input(b!, layersPerBlock)}.0.op.`],
    [
      resnet(String.raw`down_blocks\.(\d+)\.resnets\.(\d+)`),
      (b, l, name) => `${input(b!, l!)}.0.${DIFFUSERS_RESNET[name!]}.`,
    ],
    [/^down_blocks\.(\d+)\.attentions\.(\d+)\./, (b, l) => `${input(b!, l!)}.1.`],
    [
      resnet(String.raw`mid_block\.resnets\.([01])`),
      (l, name) => `middle_block.${2 * Number(l)}.${DIFFUSERS_RESNET[name!]}.`,
    ],
    [
      /^up_blocks\.(\d+)\.upsamplers\.0\.conv\./,
      (b) => `${output(b!, layersPerBlock)}.${upAttention[Number(b)] ? 2 : 1}.conv.`,
    ],
    [
      resnet(String.raw`up_blocks\.(\d+)\.resnets\.(\d+)`),
      (b, l, name) => `${output(b!, l!)}.0.${DIFFUSERS_RESNET[name!]}.`,
    ],
    [/^up_blocks\.(\d+)\.attentions\.(\d+)\./, (b, l) => `${output(b!, l!)}.1.`],
  ];
  return (key) => renameFirst(key, table);
}
