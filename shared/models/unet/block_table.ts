/**
 * The block table of a U-Net: which blocks a config has, in the order they run, and what each connects
 * to (`docs/spec.md`, "Blocks of the U-Net": 12 + 1 + 12 for SD1.5, 9 + 1 + 9 for SDXL; layers of diffusers `unet_2d_condition.py`).
 *
 * @module
 */

import type { BlockSpec } from "../blocks.ts";
import type { UNetConfig } from "../config/unet_config.ts";

/** One block and what its graph is made of. */
export type UNetBlock = BlockSpec & {
  readonly kind: "conv_in" | "layer" | "downsample" | "mid";
  /** Level of channels, heads and depth; 0 is the finest. */
  readonly level: number;
  readonly resnets: readonly string[];
  readonly attention?: string;
  readonly downsampler?: string;
  readonly upsampler?: string;
  /** The last block ends in `conv_norm_out`, SiLU and `conv_out`. */
  readonly isOutput: boolean;
};

/** What of a block travels in the handshake. */
export function blockSpec(block: UNetBlock): BlockSpec {
  const { id, locations, inChannels, outChannels, inScale, outScale, skipChannels, upsamples } =
    block;
  const spec = {
    id,
    locations,
    inChannels,
    outChannels,
    inScale,
    outScale,
    skipChannels,
    upsamples,
  };
  return block.skipFrom === undefined ? spec : { ...spec, skipFrom: block.skipFrom };
}

const numbered = (prefix: string, index: number) => `${prefix}${String(index).padStart(2, "0")}`;

export function unetBlockTable(config: UNetConfig): UNetBlock[] {
  const down = downBlocks(config);
  const level = config.blockOutChannels.length - 1;
  const channels = config.blockOutChannels[level]!;
  const mid: UNetBlock = {
    id: "M00",
    kind: "mid",
    level,
    locations: ["mid_block"],
    resnets: ["mid_block.resnets.0", "mid_block.resnets.1"],
    attention: "mid_block.attentions.0",
    inChannels: channels,
    outChannels: channels,
    inScale: level,
    outScale: level,
    skipChannels: 0,
    upsamples: false,
    isOutput: false,
  };
  return [...down, mid, ...upBlocks(config, down)];
}

function downBlocks({ blockOutChannels, layersPerBlock, downAttention, inChannels }: UNetConfig) {
  const plain = { skipChannels: 0, upsamples: false, isOutput: false, resnets: [] as string[] };
  const blocks: UNetBlock[] = [{
    ...plain,
    id: "IN00",
    kind: "conv_in",
    level: 0,
    locations: ["conv_in"],
    inChannels,
    outChannels: blockOutChannels[0]!,
    inScale: 0,
    outScale: 0,
  }];
  blockOutChannels.forEach((outChannels, level) => {
    for (let layer = 0; layer < layersPerBlock; layer++) {
      const resnet = `down_blocks.${level}.resnets.${layer}`;
      const attention = `down_blocks.${level}.attentions.${layer}`;
      blocks.push({
        ...plain,
        id: numbered("IN", blocks.length),
        kind: "layer",
        level,
        locations: downAttention[level] ? [resnet, attention] : [resnet],
        resnets: [resnet],
        ...(downAttention[level] && { attention }),
        inChannels: blocks.at(-1)!.outChannels,
        outChannels,
        inScale: level,
        outScale: level,
      });
    }
    if (level === blockOutChannels.length - 1) return;
    const downsampler = `down_blocks.${level}.downsamplers.0.conv`;
    blocks.push({
      ...plain,
      id: numbered("IN", blocks.length),
      kind: "downsample",
      level,
      locations: [downsampler],
      downsampler,
      inChannels: outChannels,
      outChannels,
      inScale: level,
      outScale: level + 1,
    });
  });
  return blocks;
}

function upBlocks(config: UNetConfig, down: readonly UNetBlock[]): UNetBlock[] {
  const { blockOutChannels, layersPerBlock, upAttention, outChannels: noiseChannels } = config;
  const levels = blockOutChannels.length;
  const skips = [...down];
  const blocks: UNetBlock[] = [];
  let inChannels = blockOutChannels[levels - 1]!;
  for (let up = 0; up < levels; up++) {
    const level = levels - 1 - up;
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      const skip = skips.pop()!;
      const isLast = layer === layersPerBlock;
      const isOutput = isLast && level === 0;
      const upsamples = isLast && level > 0;
      const resnet = `up_blocks.${up}.resnets.${layer}`;
      const attention = `up_blocks.${up}.attentions.${layer}`;
      const upsampler = `up_blocks.${up}.upsamplers.0.conv`;
      const channels = blockOutChannels[level]!;
      blocks.push({
        id: numbered("OUT", blocks.length),
        kind: "layer",
        level,
        locations: [
          resnet,
          ...(upAttention[up] ? [attention] : []),
          ...(upsamples ? [upsampler] : []),
          ...(isOutput ? ["conv_norm_out", "conv_out"] : []),
        ],
        resnets: [resnet],
        ...(upAttention[up] && { attention }),
        ...(upsamples && { upsampler }),
        inChannels,
        outChannels: isOutput ? noiseChannels : channels,
        inScale: level,
        outScale: upsamples ? level - 1 : level,
        skipFrom: skip.id,
        skipChannels: skip.outChannels,
        upsamples,
        isOutput,
      });
      inChannels = channels;
    }
  }
  return blocks;
}
