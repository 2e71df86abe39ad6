/** How close an image is to another one, as people who compress images say it. @module */

import { ShapeError } from "../../shared/errors.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

/** From black to white. */
const PEAK = 2;

/**
 * Peak signal-to-noise ratio, 10 log10(peak^2 / mean squared error), over all colours and pixels. Values are clamped as
 * they are for a picture, and not rounded to its 256 steps: an error below half a step counts, too.
 *
 * @param image f32 `[B, 3, H, W]`, nominally in -1..1
 * @returns dB; Infinity if the images are the same
 * @throws {ShapeError} if the shapes differ
 */
export function psnr(image: F32Tensor, reference: F32Tensor): number {
  if (image.shape.join() !== reference.shape.join()) {
    throw new ShapeError(
      `Images must have one shape: [${reference.shape}] is compared with [${image.shape}]`,
    );
  }
  let squares = 0;
  for (let i = 0; i < image.data.length; i++) {
    const error = clamp(image.data[i]!) - clamp(reference.data[i]!);
    squares += error * error;
  }
  return 10 * Math.log10(PEAK * PEAK * image.data.length / squares);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(-1, value));
}
