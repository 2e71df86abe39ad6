/** Cosines of embeddings, on which CLIP-I, CLIP-T, PickScore and HPSv2 rest. @module */

import { ShapeError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";

/** Rows of length 1, f64 `[n, d]`. */
export function normalizedRows({ shape: [n = 0, d = 0], data }: F32Tensor): Float64Array {
  const rows = Float64Array.from(data);
  for (let i = 0; i < n; i++) {
    const row = rows.subarray(i * d, (i + 1) * d);
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    // A row of zeros points nowhere.
    if (norm > 0) row.forEach((value, k) => row[k] = value / norm);
  }
  return rows;
}

/**
 * Of each pair of rows.
 *
 * @param a, b f32 `[n, d]`
 * @throws {ShapeError} if their shapes differ
 */
export function pairCosines(a: F32Tensor, b: F32Tensor): number[] {
  if (a.shape.join() !== b.shape.join()) {
    throw new ShapeError(`Pairs need embeddings of one shape: [${a.shape}] and [${b.shape}]`);
  }
  const [n = 0, d = 0] = a.shape;
  const [p, q] = [normalizedRows(a), normalizedRows(b)];
  return Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += p[i * d + k]! * q[i * d + k]!;
    return sum;
  });
}

/** CLIP-T as it is usually printed (torchmetrics): `100 max(cos, 0)`. */
export function clipScore(cosine: number): number {
  return 100 * Math.max(cosine, 0);
}

/** Another convention: `2.5 max(cos, 0)` (Hessel et al. 2021). */
export function hesselScore(cosine: number): number {
  return 2.5 * Math.max(cosine, 0);
}

/** `exp(logit_scale) cos`, without a softmax over images (Kirstain et al. 2023). */
export function pickScore(cosine: number, logitScale: number): number {
  return Math.exp(logitScale) * cosine;
}

/** HPSv2: the factor is 100, whatever the file's `logit_scale` says. */
export function hpsScore(cosine: number): number {
  return 100 * cosine;
}
