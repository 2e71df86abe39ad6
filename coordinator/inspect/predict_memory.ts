/**
 * How much memory a model's worker will hold, told from headers and configs. Weights are counted; the rest is a fit to what
 * `tutti bench load` measured on processors (docs/operations.md tells how far off it was).
 *
 * @module
 */

import type { Checkpoint } from "../../shared/checkpoint/checkpoint.ts";
import { computeBytes } from "../../shared/engine/memory_estimate.ts";
import { sizeAtScale } from "../../shared/models/blocks.ts";
import { unetBlockTable } from "../../shared/models/unet/block_table.ts";
import { DTYPES } from "../../shared/tensor/dtype.ts";
import { PIXELS_PER_LATENT } from "../settings/limits.ts";
import { describeBlocks } from "./describe_blocks.ts";

export interface PictureRun {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  /** Of a call: two for each picture with guidance. */
  readonly rows: number;
  readonly precision: "f32" | "f16";
}

export interface PredictedMemory extends PictureRun {
  /** While pictures are drawn: text encoders that no prompt needs are gone. */
  readonly drawBytes: number;
  /** The most, while the blocks load and the first step is drawn. */
  readonly peakBytes: number;
}

/** Deno and ONNX Runtime. */
const PROCESS_BYTES = 115_000_000;
/** What is alive at the same time in the block with the most, in copies of its input and skip. */
const MAPS_ALIVE = 22;
/** Of attention, for each row and latent pixel. */
const ATTENTION_BYTES = 3_200;
/** Copies of a block's weights on the way from the file to its kernels. */
const LOADING_COPIES = 1.4;

/** One picture with guidance, of the size that the model was trained at. */
export function usualRun({ unet }: Pick<Checkpoint, "unet">): PictureRun {
  const side = unet.config.sampleSize * PIXELS_PER_LATENT;
  return { width: side, height: side, rows: 2, precision: "f32" };
}

export function predictMemory(
  { unet, text, text2 }: Pick<Checkpoint, "unet" | "text" | "text2">,
  run: PictureRun,
): PredictedMemory {
  const share = run.precision === "f16" ? DTYPES.float16.bytes / DTYPES.float32.bytes : 1;
  const texts = [text, text2].flatMap((part) => part ? [part.weights] : []);
  const [unetBytes, textBytes] = [computeBytes([unet.weights]), computeBytes(texts)];
  const activationBytes = activations(unet.config, run);
  const largest = Math.max(...describeBlocks(unet).map(({ parameters }) => parameters));
  const loadingBytes = LOADING_COPIES * largest * DTYPES.float32.bytes;
  const drawBytes = PROCESS_BYTES + share * (unetBytes + activationBytes);
  const peakBytes = PROCESS_BYTES +
    share * (unetBytes + textBytes + Math.max(activationBytes, loadingBytes));
  return { ...run, drawBytes: Math.round(drawBytes), peakBytes: Math.round(peakBytes) };
}

/** Of the block that needs the most, in f32. */
function activations(
  config: Checkpoint["unet"]["config"],
  { width, height, rows }: PictureRun,
): number {
  const bytes = unetBlockTable(config).map(({ inChannels, skipChannels, inScale }) => {
    const [h, w] = [height, width].map((side) => sizeAtScale(side / PIXELS_PER_LATENT, inScale));
    const mapBytes = (inChannels + skipChannels) * DTYPES.float32.bytes;
    return rows * h! * w! * (MAPS_ALIVE * mapBytes + ATTENTION_BYTES);
  });
  return Math.max(...bytes);
}
