/** A picture as a training example's pixels: shorter side resized, a square cut out, values in [-1, 1]. @module */

import { FormatError } from "../../../shared/errors.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { MAX_PIXELS, resize, type RgbImage } from "../../image/resize.ts";
import { SeededDraws } from "../seeded_draws.ts";

/** Where a square is cut out of an image. */
export interface Crop {
  /** Of the square, in pixels. */
  readonly size: number;
  readonly top: number;
  readonly left: number;
}

/**
 * Width and height with the shorter side `size`; the longer one is cut to whole pixels, as torchvision's `Resize` does.
 */
export function shorterSide(
  { width, height }: Pick<RgbImage, "width" | "height">,
  size: number,
): { readonly width: number; readonly height: number } {
  const longer = (other: number, shorter: number) => Math.floor(size * other / shorter);
  return width <= height
    ? { width: size, height: longer(height, width) }
    : { width: longer(width, height), height: size };
}

/** @throws {FormatError} if the image is so long and narrow that it takes too much memory at this size */
export function checkResized(image: Pick<RgbImage, "width" | "height">, size: number): void {
  const { width, height } = shorterSide(image, size);
  if (width * height <= MAX_PIXELS) return;
  throw new FormatError(
    `Image must have at most ${MAX_PIXELS} pixels with its shorter side resized to ${size}: ` +
      `current size is ${image.width}x${image.height}`,
  );
}

/** Drawn from the seed and the image's bytes: one crop per image and run, so that its latents are computed once. */
export function drawCrop(
  image: Pick<RgbImage, "width" | "height">,
  size: number,
  seed: bigint,
  fileHash: string,
): Crop {
  const { width, height } = shorterSide(image, size);
  const draws = new SeededDraws(seed, ["crop", fileHash]);
  return { size, top: draws.below(height - size + 1), left: draws.below(width - size + 1) };
}

/** @returns f32 `[1, 3, size, size]` in [-1, 1] */
export function cropImage(image: RgbImage, { size, top, left }: Crop): F32Tensor {
  const { width, height } = shorterSide(image, size);
  if (top + size > height || left + size > width) {
    throw new FormatError(
      `Crop of ${size} pixels at ${left}, ${top} must lie in an image of ${width}x${height}`,
    );
  }
  const { rgb } = resize(image, width, height);
  const pixels = f32([1, 3, size, size]);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const value = rgb[((top + y) * width + left + x) * 3 + c]!;
        pixels.data[(c * size + y) * size + x] = value / 127.5 - 1;
      }
    }
  }
  return pixels;
}
