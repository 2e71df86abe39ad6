/** What SABW is trained to make small (the paper's Eq. 12). @module */

import { lincomb } from "../../shared/tensor/lincomb.ts";
import { checkTensor } from "../../shared/tensor/check.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

export interface NoiseLoss {
  /** `mean((eps - target)^2)` over everything. */
  readonly loss: number;
  /** d loss / d eps, f32 in the shape of eps. */
  readonly gradNoise: F32Tensor;
}

/**
 * @param noise the aggregated noise prediction, f32 `[B, 4, H, W]`
 * @param target the noise that was added, f32 in the same shape
 * @throws {ShapeError} if the shapes differ
 */
export function noiseLoss(noise: F32Tensor, target: F32Tensor): NoiseLoss {
  checkTensor("target", target, "float32", noise.shape);
  const count = noise.data.length;
  let squares = 0;
  for (let i = 0; i < count; i++) squares += (noise.data[i]! - target.data[i]!) ** 2;
  return {
    loss: squares / count,
    gradNoise: lincomb([[2 / count, noise], [-2 / count, target]]),
  };
}
