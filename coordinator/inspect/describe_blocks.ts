/** The blocks of a U-Net as a reader wants to see them: what they are made of, and the shapes between them. @module */

import type { Part } from "../../shared/checkpoint/checkpoint.ts";
import { blockOutputShape, sizeAtScale } from "../../shared/models/blocks.ts";
import type { UNetConfig } from "../../shared/models/config/unet_config.ts";
import { type UNetBlock, unetBlockTable } from "../../shared/models/unet/block_table.ts";
import type { WeightTable } from "../../shared/models/weights.ts";
import { elementCount } from "../../shared/tensor/tensor.ts";

export interface BlockRow {
  readonly id: string;
  /** In the order in which they run. */
  readonly layers: readonly string[];
  /** `[C, h, w]`, without the skip. */
  readonly input: readonly number[];
  readonly skip?: { readonly from: string; readonly channels: number };
  /** `[C, h, w]` */
  readonly output: readonly number[];
  readonly parameters: number;
}

/** For latents of the size that the model was trained at. */
export function describeBlocks({ config, weights }: Part<UNetConfig>): BlockRow[] {
  const { sampleSize } = config;
  return unetBlockTable(config).map((block) => {
    const size = sizeAtScale(sampleSize, block.inScale);
    return {
      id: block.id,
      layers: layersOf(block, config),
      input: [block.inChannels, size, size],
      ...(block.skipFrom !== undefined && {
        skip: { from: block.skipFrom, channels: block.skipChannels },
      }),
      output: blockOutputShape(block, sampleSize, sampleSize),
      parameters: parametersBelow(block.locations, weights),
    };
  });
}

function layersOf(block: UNetBlock, { transformerLayers, numHeads }: UNetConfig): string[] {
  const { level } = block;
  const attention = block.attention === undefined
    ? []
    : [`attention x${transformerLayers[level]!} (${numHeads[level]!} heads)`];
  const [first, second] = block.resnets;
  return [
    ...(block.kind === "conv_in" ? ["convolution"] : []),
    ...(first === undefined ? [] : ["resnet"]),
    ...attention,
    ...(second === undefined ? [] : ["resnet"]),
    ...(block.downsampler === undefined ? [] : ["downsample"]),
    ...(block.upsampler === undefined ? [] : ["upsample"]),
    ...(block.isOutput ? ["norm", "convolution"] : []),
  ];
}

function parametersBelow(locations: readonly string[], weights: WeightTable): number {
  return [...weights]
    .filter(([key]) => locations.some((location) => key.startsWith(`${location}.`)))
    .reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
}
