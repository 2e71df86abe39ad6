/** Squares out of pictures of any shape, as the image processors of CLIP and DINOv2 cut them. @module */

import { BICUBIC } from "../../image/resample.ts";
import { resizeBytes, type RgbImage } from "../../image/resize.ts";
import { roundHalfEven } from "./round_half_even.ts";

export interface SquareOptions {
  /** Of the square. */
  readonly size: number;
  /** That the short side is resized to first. @default size */
  readonly shortSide?: number;
  /** How half a pixel of what is cut off is rounded: transformers rounds down, torchvision to even. @default "down" */
  readonly rounding?: "down" | "even";
}

/**
 * The middle of the picture: its short side is resized (Pillow's bicubic), the long side follows, rounded down; what is too
 * long is cut off at both ends. CLIP-I, CLIP-T, PickScore, CMMD (transformers `CLIPImageProcessor`), AES and ImageReward
 * (torchvision), DINOv2 (`BitImageProcessor`).
 */
export function middleSquare(
  image: RgbImage,
  { size, shortSide = size, rounding = "down" }: SquareOptions,
): RgbImage {
  const { width, height } = image;
  const short = Math.min(width, height);
  const long = Math.trunc(shortSide * Math.max(width, height) / short);
  const resized = width < height
    ? resizeBytes(image, shortSide, long, BICUBIC)
    : resizeBytes(image, long, shortSide, BICUBIC);
  const start = (side: number) =>
    rounding === "down" ? Math.floor((side - size) / 2) : roundHalfEven((side - size) / 2);
  return crop(resized, start(resized.width), start(resized.height), size);
}

/** The whole picture in another shape: FD-DINOv2 as its paper's code (dgm-eval) has it. */
export function squashed(image: RgbImage, size: number): RgbImage {
  return resizeBytes(image, size, size, BICUBIC);
}

function crop({ width, rgb }: RgbImage, left: number, top: number, size: number): RgbImage {
  const square = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const start = ((top + y) * width + left) * 3;
    square.set(rgb.subarray(start, start + size * 3), y * size * 3);
  }
  return { width: size, height: size, rgb: square };
}
