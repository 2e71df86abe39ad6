/** FID: the Fréchet distance between two sets of features as Gaussians (Heusel et al. 2017, equation 6). @module */

import { ShapeError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { symmetricEigenvalues } from "../symmetric_eigenvalues.ts";
import { type Gaussian, gaussianOf } from "./gaussian.ts";

/**
 * `|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2)`. Exact for singular covariances, too: the trace of the root is the sum of
 * the singular values of `R1 R2^T`, where `S = R^T R`, so nothing is added to any diagonal.
 */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  if (a.mean.length !== b.mean.length) {
    throw new ShapeError(
      `Sets must have features of one width: they have ${a.mean.length} and ${b.mean.length}`,
    );
  }
  const gap = a.mean.reduce((sum, value, i) => sum + (value - b.mean[i]!) ** 2, 0);
  const distance = gap + traceOf(a) + traceOf(b) - 2 * traceOfRoot(a, b);
  // Equal sets: only rounding is left.
  return Math.max(0, distance);
}

/** @param a, b f32 `[n, d]` each, n may differ */
export function fid(a: F32Tensor, b: F32Tensor): number {
  return frechetDistance(gaussianOf(a), gaussianOf(b));
}

/** Of the covariance. */
function traceOf({ factor }: Gaussian): number {
  return factor.reduce((sum, value) => sum + value * value, 0);
}

/** Tr (S1 S2)^1/2 */
function traceOfRoot(a: Gaussian, b: Gaussian): number {
  const [few, many] = a.rows <= b.rows ? [a, b] : [b, a];
  if (few.rows === 0) return 0;
  const cross = productOfRows(few.factor, many.factor, few.mean.length);
  const squared = productOfRows(cross, cross, many.rows);
  return symmetricEigenvalues(squared, few.rows)
    .reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

/** Rows of a by rows of b, `A B^T`: both have rows of `width`. */
function productOfRows(a: Float64Array, b: Float64Array, width: number): Float64Array {
  const [m, n] = [a.length / width, b.length / width];
  const product = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      const [p, q] = [i * width, j * width];
      for (let k = 0; k < width; k++) sum += a[p + k]! * b[q + k]!;
      product[i * n + j] = sum;
    }
  }
  return product;
}
