/** MIND: how far two sets of features are apart along many directions (the sliced Wasserstein distance, squared and scaled). @module */

import { ShapeError } from "../../../shared/errors.ts";
import { TorchCpuGenerator } from "../../../shared/tensor/torch_randn.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

/** The published code's. */
const DIRECTIONS = 1000, SEED = 2020, SCALE = 3;

/**
 * Along each of 1,000 directions both sets are sorted, and the gaps of their ranks squared; `3 d` times the mean of all.
 *
 * @param real, fake f32 `[n, d]`, of one size: ranks are compared
 * @throws {ShapeError} if their shapes differ
 */
export function mind(real: F32Tensor, fake: F32Tensor, seed = SEED): number {
  const [n = 0, d = 0] = real.shape;
  if (fake.shape.join() !== real.shape.join() || n === 0) {
    throw new ShapeError(
      `MIND needs two sets of one size: current shapes are [${real.shape}] and [${fake.shape}]`,
    );
  }
  const { data: directions } = new TorchCpuGenerator(seed).randn([DIRECTIONS, d]);
  let sum = 0;
  for (let i = 0; i < DIRECTIONS; i++) {
    const direction = directions.subarray(i * d, (i + 1) * d);
    const norm = Math.sqrt(direction.reduce((square, value) => square + value * value, 0));
    const unit = direction.map((value) => value / norm);
    const [a, b] = [projections(real, unit), projections(fake, unit)];
    for (let k = 0; k < n; k++) sum += (a[k]! - b[k]!) ** 2 / n;
  }
  return SCALE * d * sum / DIRECTIONS;
}

/** Sorted. */
function projections({ shape: [n = 0, d = 0], data }: F32Tensor, unit: Float32Array): Float64Array {
  const values = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < d; k++) values[i]! += data[i * d + k]! * unit[k]!;
  }
  return values.sort();
}
