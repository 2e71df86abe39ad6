/** A set of features as a Gaussian: its mean and its covariance. @module */

import { ShapeError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

export interface Gaussian {
  /** `[d]` */
  readonly mean: Float64Array;
  /**
   * R `[rows, d]` with `R^T R` the covariance: the centred features themselves where there are fewer of them than
   * dimensions, else a square root of the covariance.
   */
  readonly factor: Float64Array;
  readonly rows: number;
}

/**
 * @param features f32 `[n, d]`
 * @throws {ShapeError} if there are fewer than two
 */
export function gaussianOf(features: F32Tensor): Gaussian {
  const [n = 0, d = 0] = features.shape;
  if (features.shape.length !== 2 || n < 2) {
    throw new ShapeError(
      `A covariance needs the features of two images or more: current shape is [${features.shape}]`,
    );
  }
  if (n > d) return gaussianFrom(meanOf(features), covarianceOf(features));
  const mean = meanOf(features);
  const factor = Float64Array.from(
    features.data,
    (value, i) => (value - mean[i % d]!) / Math.sqrt(n - 1),
  );
  return { mean, factor, rows: n };
}

/** @param covariance `[d, d]`, symmetric; what rounding has made negative counts as 0 */
export function gaussianFrom(mean: Float64Array, covariance: Float64Array): Gaussian {
  return { mean, ...symmetricRoot(covariance, mean.length) };
}

export function meanOf({ shape: [n = 0, d = 0], data }: F32Tensor): Float64Array {
  const mean = new Float64Array(d);
  data.forEach((value, i) => mean[i % d]! += value);
  return mean.map((sum) => sum / n);
}

/** `[d, d]` with divisor n - 1, as `numpy.cov` has it. */
export function covarianceOf(features: F32Tensor): Float64Array {
  const { shape: [n = 0, d = 0], data } = features;
  const mean = meanOf(features);
  const covariance = new Float64Array(d * d);
  const row = new Float64Array(d);
  for (let sample = 0; sample < n; sample++) {
    for (let i = 0; i < d; i++) row[i] = data[sample * d + i]! - mean[i]!;
    for (let i = 0; i < d; i++) {
      const value = row[i]!, begin = i * d;
      for (let j = i; j < d; j++) covariance[begin + j]! += value * row[j]!;
    }
  }
  for (let i = 0; i < d; i++) {
    for (let j = i; j < d; j++) {
      const value = covariance[i * d + j]! / (n - 1);
      covariance[i * d + j] = value;
      covariance[j * d + i] = value;
    }
  }
  return covariance;
}

/** Below this share of the largest pivot only rounding is left. */
const RANK_TOLERANCE = 1e-14;

/** Cholesky with pivoting, which stops at the rank: R `[rank, d]` with `R^T R` the matrix. */
function symmetricRoot(matrix: Float64Array, d: number): Pick<Gaussian, "factor" | "rows"> {
  const left = Float64Array.from({ length: d }, (_, i) => matrix[i * d + i]!);
  const largest = Math.max(...left, 0);
  const rows: Float64Array[] = [];
  while (rows.length < d) {
    const pivot = left.reduce((best, value, i) => value > left[best]! ? i : best, 0);
    if (!(left[pivot]! > RANK_TOLERANCE * largest)) break;
    const row = matrix.slice(pivot * d, (pivot + 1) * d);
    for (const before of rows) {
      const share = before[pivot]!;
      if (share === 0) continue;
      for (let j = 0; j < d; j++) row[j]! -= share * before[j]!;
    }
    const root = Math.sqrt(left[pivot]!);
    for (let j = 0; j < d; j++) {
      row[j]! /= root;
      left[j]! -= row[j]! ** 2;
    }
    row[pivot] = root;
    left[pivot] = -Infinity;
    rows.push(row);
  }
  const factor = new Float64Array(rows.length * d);
  rows.forEach((row, i) => factor.set(row, i * d));
  return { factor, rows: rows.length };
}
