/** KID: the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018), as torch-fidelity and clean-fid. @module */

import { ShapeError } from "../../../shared/errors.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { NumpyRandom } from "../numpy_random.ts";

/** Subsets that are drawn, and how many images one has at most; the seed is torch-fidelity's. */
const SUBSETS = 100, SUBSET_SIZE = 1000, SEED = 2020;

export interface KernelDistance {
  /** Over all subsets. */
  readonly mean: number;
  /** Of the population. */
  readonly std: number;
  readonly perSubset: readonly number[];
}

/** Which images of each set one estimate is made of. */
export interface Subset {
  readonly real: readonly number[];
  readonly fake: readonly number[];
}

/**
 * @param real, fake f32 `[n, d]`
 * @throws {ShapeError} if a set has fewer than two images
 */
export function kid(
  real: F32Tensor,
  fake: F32Tensor,
  subsets: readonly Subset[] = drawSubsets(real.shape[0]!, fake.shape[0]!),
): KernelDistance {
  const perSubset = subsets.map((subset) =>
    squaredDiscrepancy(rowsAt(real, subset.real), rowsAt(fake, subset.fake))
  );
  const mean = perSubset.reduce((sum, value) => sum + value, 0) / perSubset.length;
  const square = perSubset.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: Math.sqrt(square / perSubset.length), perSubset };
}

/** Of both sets whole: one estimate, and no chance in it. */
export function wholeKid(real: F32Tensor, fake: F32Tensor): number {
  return squaredDiscrepancy(real, fake);
}

function drawSubsets(reals: number, fakes: number): Subset[] {
  const size = Math.min(SUBSET_SIZE, reals, fakes);
  const random = new NumpyRandom(SEED);
  // In this order, as torch-fidelity draws them.
  return Array.from({ length: SUBSETS }, () => {
    const fake = random.permutation(fakes).slice(0, size);
    return { real: random.permutation(reals).slice(0, size), fake };
  });
}

/** Unbiased: an image is not compared with itself. */
function squaredDiscrepancy(x: F32Tensor, y: F32Tensor): number {
  const [m = 0, n = 0] = [x.shape[0], y.shape[0]];
  if (m < 2 || n < 2 || x.shape[1] !== y.shape[1]) {
    throw new ShapeError(
      `KID needs two sets of two images or more with features of one width: [${x.shape}] and [${y.shape}]`,
    );
  }
  const within = (set: F32Tensor, size: number) =>
    kernelSum(set, set, { withDiagonal: false }) / (size * (size - 1));
  const across = kernelSum(x, y, { withDiagonal: true }) / (m * n);
  return within(x, m) + within(y, n) - 2 * across;
}

/** Sum of `(a . b / d + 1)^3` over all pairs. */
function kernelSum(
  a: F32Tensor,
  b: F32Tensor,
  { withDiagonal }: { readonly withDiagonal: boolean },
): number {
  const [m = 0, d = 0] = a.shape;
  const n = b.shape[0]!;
  let sum = 0;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      if (i === j && !withDiagonal) continue;
      let dot = 0;
      for (let k = 0; k < d; k++) dot += a.data[i * d + k]! * b.data[j * d + k]!;
      sum += (dot / d + 1) ** 3;
    }
  }
  return sum;
}

function rowsAt(set: F32Tensor, rows: readonly number[]): F32Tensor {
  const [, d = 0] = set.shape;
  const picked = f32([rows.length, d]);
  rows.forEach((row, i) => picked.data.set(set.data.subarray(row * d, (row + 1) * d), i * d));
  return picked;
}
