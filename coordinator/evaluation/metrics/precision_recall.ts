/** How much of one set lies where the other is (Kynkäänniemi et al. 2019). @module */

import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export interface PrecisionRecall {
  /** Share of the fakes that are near a real image. */
  readonly precision: number;
  /** Share of the real images that are near a fake. */
  readonly recall: number;
}

/**
 * Near is: inside a ball around an image whose radius is the distance to its k-th nearest other of the same set.
 *
 * @param real, fake f32 `[n, d]`
 */
export function precisionRecall(real: F32Tensor, fake: F32Tensor, k: number): PrecisionRecall {
  return { precision: shareInside(fake, real, k), recall: shareInside(real, fake, k) };
}

function shareInside(points: F32Tensor, centres: F32Tensor, k: number): number {
  const [n = 0, m = 0] = [points.shape[0], centres.shape[0]];
  const radii = Array.from({ length: m }, (_, i) => {
    const distances = Array.from({ length: m }, (_, j) => squaredDistance(centres, i, centres, j));
    // The smallest is its distance to itself.
    return distances.sort((a, b) => a - b)[k]!;
  });
  let inside = 0;
  for (let i = 0; i < n; i++) {
    if (radii.some((radius, j) => squaredDistance(points, i, centres, j) <= radius)) inside++;
  }
  return inside / n;
}

function squaredDistance(a: F32Tensor, i: number, b: F32Tensor, j: number): number {
  const d = a.shape[1]!;
  let sum = 0;
  for (let k = 0; k < d; k++) sum += (a.data[i * d + k]! - b.data[j * d + k]!) ** 2;
  return sum;
}
