/** CMMD: the squared maximum mean discrepancy of CLIP embeddings under a Gaussian kernel (Jayasumana et al. 2024). @module */

import { ShapeError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { normalizedRows } from "./cosine.ts";

/** The published code's. */
const SIGMA = 10, SCALE = 1000;

/**
 * `1000 (mean k(x, x) + mean k(y, y) - 2 mean k(x, y))`, an image's comparison with itself included. In f64: the three means
 * are all near 1.
 *
 * @param real, fake f32 `[n, d]`, not normalised
 * @throws {ShapeError} if their widths differ or a set is empty
 */
export function cmmd(real: F32Tensor, fake: F32Tensor): number {
  return cmmdFrom(real)(fake);
}

/** As `cmmd()`, for several sets of fakes: what follows from the real ones is computed once. */
export function cmmdFrom(real: F32Tensor): (fake: F32Tensor) => number {
  const d = real.shape[1]!;
  const x = normalizedRows(real);
  const withinReal = meanKernel(x, x, d);
  return (fake) => {
    if (fake.shape[1] !== d || real.shape[0] === 0 || fake.shape[0] === 0) {
      throw new ShapeError(
        `CMMD needs two sets with embeddings of one width: [${real.shape}] and [${fake.shape}]`,
      );
    }
    const y = normalizedRows(fake);
    return SCALE * (withinReal + meanKernel(y, y, d) - 2 * meanKernel(x, y, d));
  };
}

/** Mean of `exp(-|a - b|^2 / (2 sigma^2))` over all pairs. */
function meanKernel(a: Float64Array, b: Float64Array, d: number): number {
  const [m, n] = [a.length / d, b.length / d];
  let sum = 0;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let square = 0;
      for (let k = 0; k < d; k++) square += (a[i * d + k]! - b[j * d + k]!) ** 2;
      sum += Math.exp(-square / (2 * SIGMA ** 2));
    }
  }
  return sum / (m * n);
}
