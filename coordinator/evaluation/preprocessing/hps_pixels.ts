/** What HPSv2's network sees: the whole picture, its longest side fitted, with a border around the rest. @module */

import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { applyTaps, BICUBIC, bicubicTaps } from "../../image/resample.ts";
import { type FloatImage, resize, type RgbImage } from "../../image/resize.ts";
import { CLIP_STATISTICS } from "./normalize.ts";
import { roundHalfEven } from "./round_half_even.ts";

export interface HpsOptions {
  /** Pixels on each side. */
  readonly size: number;
  /** Whether the resize skips nothing: torchvision 0.17 and later. @default true */
  readonly antialias?: boolean;
}

/**
 * f32 `[3, size, size]`. Resized in floats and not clipped; the border is 0 before it is normalised, half of it (rounded down)
 * comes first.
 */
export function hpsPixels(image: RgbImage, { size, antialias = true }: HpsOptions): F32Tensor {
  const longest = Math.max(image.width, image.height);
  const fitted = (side: number) => roundHalfEven(side * size / longest);
  const [width, height] = [fitted(image.width), fitted(image.height)];
  const { rgb } = antialias
    ? resize(image, width, height, BICUBIC)
    : sampledBicubic(image, width, height);
  const [left, top] = [Math.floor((size - width) / 2), Math.floor((size - height) / 2)];
  const pixels = f32([3, size, size]);
  const plane = size * size;
  const { mean, std } = CLIP_STATISTICS;
  for (let c = 0; c < 3; c++) {
    pixels.data.fill(-mean[c]! / std[c]!, c * plane, (c + 1) * plane);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = (rgb[(y * width + x) * 3 + c]! / 255 - mean[c]!) / std[c]!;
        pixels.data[c * plane + (top + y) * size + left + x] = value;
      }
    }
  }
  return pixels;
}

/** torch's `interpolate(mode="bicubic")`: four source pixels on each axis however much it shrinks, a = -0.75. */
function sampledBicubic(image: RgbImage, width: number, height: number): FloatImage {
  const rgb = applyTaps(image.rgb, { width: image.width, channels: 3 }, {
    rows: bicubicTaps(image.height, height),
    columns: bicubicTaps(image.width, width),
  });
  return { width, height, rgb };
}
