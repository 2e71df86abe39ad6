/** From the bytes of a picture to what a network of images sees. @module */

import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { RgbImage } from "../../image/resize.ts";

/** Red, green and blue, of values in 0..1. */
export interface ChannelStatistics {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** OpenAI's, of the pictures that CLIP was trained with. */
export const CLIP_STATISTICS: ChannelStatistics = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/** ImageNet's. */
export const IMAGENET_STATISTICS: ChannelStatistics = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** `(value / 255 - mean) / std`, f32 `[3, H, W]`. */
export function normalize(
  { width, height, rgb }: RgbImage,
  { mean, std }: ChannelStatistics,
): F32Tensor {
  const plane = width * height;
  const pixels = f32([3, height, width]);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) {
      pixels.data[c * plane + i] = (rgb[i * 3 + c]! / 255 - mean[c]!) / std[c]!;
    }
  }
  return pixels;
}

/** Pictures of one size as one batch, f32 `[N, 3, H, W]`. */
export function stack(pictures: readonly F32Tensor[]): F32Tensor {
  const batch = f32([pictures.length, ...pictures[0]!.shape]);
  const size = pictures[0]!.data.length;
  pictures.forEach(({ data }, i) => batch.data.set(data, i * size));
  return batch;
}
