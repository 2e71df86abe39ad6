/** What blocks of the affine expert compute with: means of tensors, and their derivative. @module */

import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";

/** Mean over channels of `[B, C, h, w]`, one number per row and pixel. */
export function channelMeans({ shape, data }: F32Tensor): Float64Array {
  const [rows = 0, channels = 0, height = 0, width = 0] = shape;
  const pixels = height * width;
  const means = new Float64Array(rows * pixels);
  for (let i = 0; i < data.length; i++) {
    means[Math.floor(i / (channels * pixels)) * pixels + i % pixels]! += data[i]! / channels;
  }
  return means;
}

/** Mean over everything but the first axis. */
export function rowMean({ shape, data }: F32Tensor, row: number): number {
  const width = data.length / (shape[0] ?? 1);
  return data.subarray(row * width, (row + 1) * width).reduce((sum, value) => sum + value, 0) /
    width;
}

/** Each pixel of the output takes the mean over channels of the nearest pixel of the input, times `weight`. */
export function gradientOfMeans(
  { shape, data }: F32Tensor,
  input: F32Tensor,
  weight: number,
): F32Tensor {
  const [, channels = 0, height = 0, width = 0] = shape;
  const [rows = 0, inChannels = 0, inHeight = 0, inWidth = 0] = input.shape;
  const pixels = inHeight * inWidth;
  const sums = new Float64Array(rows * pixels);
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / (channels * height * width));
    const y = Math.floor((Math.floor(i / width) % height) * inHeight / height);
    const x = Math.floor((i % width) * inWidth / width);
    sums[row * pixels + y * inWidth + x]! += data[i]!;
  }
  const gradient = f32(input.shape);
  for (let i = 0; i < gradient.data.length; i++) {
    const row = Math.floor(i / (inChannels * pixels));
    gradient.data[i] = weight / inChannels * sums[row * pixels + i % pixels]!;
  }
  return gradient;
}
