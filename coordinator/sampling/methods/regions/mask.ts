/** Masks that users paint: grey PNG files, white where an expert plays. @module */

import { createHash } from "node:crypto";
import { FormatError, UsageError } from "../../../../shared/errors.ts";
import { readRegularFile } from "../../../../shared/regular_file.ts";
import { show } from "../../../../shared/show.ts";
import { decodeImage } from "../../../image/read_image.ts";
import type { RgbImage } from "../../../image/resize.ts";
import type { PictureSize } from "../definition.ts";

export interface Mask extends RgbImage {
  /** Of the file. */
  readonly sha256: string;
}

/** By path, as users write it. */
export type Masks = ReadonlyMap<string, Mask>;

/** @throws {FormatError} if a file cannot be read, is no picture, or has colours */
export async function readMasks(paths: readonly string[]): Promise<Masks> {
  const masks = paths.map(async (path) => [path, await readMask(path)] as const);
  return new Map(await Promise.all(masks));
}

async function readMask(path: string): Promise<Mask> {
  let bytes: Uint8Array;
  let image: RgbImage;
  try {
    bytes = await readRegularFile(path);
    image = await decodeImage(bytes);
  } catch (cause) {
    throw new FormatError(`Cannot read mask ${show(path)}: ${(cause as Error).message}`, { cause });
  }
  const { width, height, rgb } = image;
  for (let i = 0; i < rgb.length; i += 3) {
    if (rgb[i] === rgb[i + 1] && rgb[i] === rgb[i + 2]) continue;
    const pixel = i / 3;
    throw new FormatError(
      `Mask ${show(path)} must be grey, white where the expert plays: current colour at ` +
        `${pixel % width},${Math.floor(pixel / width)} is ${rgb.slice(i, i + 3).join("/")}`,
    );
  }
  return { width, height, rgb, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** A file of the machine that a run is started on goes no further. */
export function refuseMaskOfJob(path: string): UsageError {
  return new UsageError(
    `Mask ${show(path)} cannot go with a job: jobs of the queue carry no files. ` +
      "Write the region as boxes, as 0/0/0.5/1, or draw with tutti sample",
  );
}

/**
 * From black (0) to white (1): the mean of what each latent pixel covers.
 *
 * @throws {UsageError} if the mask has other proportions than the picture
 */
export function maskCoverage(path: string, mask: Mask, picture: PictureSize): Float64Array {
  const { width, height, latentWidth, latentHeight } = picture;
  if (mask.width * height !== mask.height * width) {
    throw new UsageError(
      `Mask ${show(path)} must have the proportions of the picture, ${width}x${height} pixels: ` +
        `current size is ${mask.width}x${mask.height}`,
    );
  }
  const pixels = mask.width * mask.height;
  const white = Float64Array.from({ length: pixels }, (_, i) => mask.rgb[3 * i]! / 255);
  const columns = averages(white, mask.width, latentWidth);
  const rows = averages(transposed(columns, latentWidth), mask.height, latentHeight);
  // To a float's digits: white stays 1 where parts of pixels were added up.
  return transposed(rows, latentHeight).map(Math.fround);
}

/** Of rows, each of `size` values: means over `count` parts of equal length, parts of values by what is in them. */
function averages(values: Float64Array, size: number, count: number): Float64Array {
  const length = size / count;
  return Float64Array.from({ length: values.length / size * count }, (_, i) => {
    const row = Math.floor(i / count) * size;
    const [start, end] = [(i % count) * length, (i % count + 1) * length];
    let sum = 0;
    for (let x = Math.floor(start); x < Math.min(size, Math.ceil(end)); x++) {
      sum += (Math.min(end, x + 1) - Math.max(start, x)) * values[row + x]!;
    }
    return sum / length;
  });
}

/** @param width of a row */
function transposed(values: Float64Array, width: number): Float64Array {
  const height = values.length / width;
  return values.map((_, i) => values[(i % height) * width + Math.floor(i / height)]!);
}
