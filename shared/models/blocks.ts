/**
 * The names of U-Net blocks (IN00..IN11, M00, OUT00..OUT11; SDXL IN00..IN08, M00, OUT00..OUT08) and
 * what the two roles must know about each: channels, scale, skip. The table of one model is built from its config
 * by `unet/block_table.ts`; it is part of the handshake, so both ends compare it before any tensor travels.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";

/** `IN00`, `M00`, `OUT11`, ... */
export type BlockId = string;

/** What every block's id looks like, whatever model it is of. */
export const BLOCK_ID = /^(?:IN|M|OUT)\d\d$/;

export interface BlockSpec {
  readonly id: BlockId;
  /** State-dict prefixes (diffusers names) whose tensors this block owns. */
  readonly locations: readonly string[];
  /** Channels of `hiddenStates`, without the skip. */
  readonly inChannels: number;
  readonly outChannels: number;
  /** Times the latent was halved before this block, and after it. */
  readonly inScale: number;
  readonly outScale: number;
  /** OUT blocks: the IN block whose aggregated output is concatenated to the input, `[h, skip]`. */
  readonly skipFrom?: BlockId;
  /** Channels of that skip; 0 without one. */
  readonly skipChannels: number;
  /** Whether the graph takes a target height and width (its up-sampling goes to the next skip's size). */
  readonly upsamples: boolean;
}

/** Place of a block in the order in which they run; -1 if there is no such block. */
export function blockIndex(blocks: readonly BlockSpec[], id: BlockId): number {
  return blocks.findIndex((block) => block.id === id);
}

/**
 * As `blockIndex()`, of a block that must be there.
 *
 * @param name of the argument that names the block
 * @throws {TuttiError} NOT_FOUND if there is no such block
 */
export function requireBlockIndex(blocks: readonly BlockSpec[], name: string, id: BlockId): number {
  const index = blockIndex(blocks, id);
  if (index >= 0) return index;
  throw new TuttiError(
    "NOT_FOUND",
    `${name} must be one of ${blocks[0]!.id}..${blocks.at(-1)!.id}: current value is "${id}"`,
  );
}

/** Height or width of a feature map after halving a latent `scale` times: 3x3 convolutions, stride 2, padding 1. */
export function sizeAtScale(latentSize: number, scale: number): number {
  let size = latentSize;
  for (let i = 0; i < scale; i++) size = Math.ceil(size / 2);
  return size;
}

/** Shape `[C, h, w]` of a block's output for a latent of `height` x `width` (latent pixels). */
export function blockOutputShape(
  block: BlockSpec,
  height: number,
  width: number,
): readonly [number, number, number] {
  return [
    block.outChannels,
    sizeAtScale(height, block.outScale),
    sizeAtScale(width, block.outScale),
  ];
}
