/**
 * Eigenvalues of a symmetric matrix, without its eigenvectors: Householder reduction to a tridiagonal matrix, then QL with
 * implicit shifts (Golub and Van Loan, Matrix Computations, 8.3). 4/3 n^3 multiplications: 2048 x 2048 in half a minute.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";

/** Sweeps for one eigenvalue; two or three are usual. */
const MAX_SWEEPS = 60;

/**
 * @param matrix f64 `[n, n]`, row by row; it is overwritten
 * @returns n numbers, in no promised order
 * @throws {TuttiError} DATA_LOSS if the matrix holds what is no number
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonalize(matrix, n);
  for (let first = 0; first < n; first++) diagonalize(diagonal, beside, first);
  return diagonal;
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** `beside[i]` stands between i and i + 1; the last one is 0. */
  readonly beside: Float64Array;
}

/** Reflects one column after the other: what is left of it then is its diagonal and the number beside that. */
function tridiagonalize(a: Float64Array, n: number): Tridiagonal {
  const beside = new Float64Array(n);
  const v = new Float64Array(n), w = new Float64Array(n);
  for (let k = 0; k + 1 < n; k++) {
    const begin = k + 1;
    let norm = 0;
    for (let i = begin; i < n; i++) norm = Math.hypot(norm, a[i * n + k]!);
    const head = a[begin * n + k]!;
    beside[k] = head > 0 ? -norm : norm;
    if (norm === 0 || begin === n - 1) {
      beside[k] = head;
      continue;
    }
    for (let i = begin; i < n; i++) v[i] = a[i * n + k]!;
    v[begin] = head - beside[k]!;
    let square = 0;
    for (let i = begin; i < n; i++) square += v[i]! ** 2;
    const scale = 2 / square;
    // A -= v w^T + w v^T with w = scale (A v - (scale / 2) (v^T A v) v).
    let inner = 0;
    for (let i = begin; i < n; i++) {
      let sum = 0;
      const row = i * n;
      for (let j = begin; j < n; j++) sum += a[row + j]! * v[j]!;
      w[i] = scale * sum;
      inner += v[i]! * w[i]!;
    }
    for (let i = begin; i < n; i++) w[i]! -= scale / 2 * inner * v[i]!;
    for (let i = begin; i < n; i++) {
      const [vi, wi, row] = [v[i]!, w[i]!, i * n];
      for (let j = begin; j < n; j++) a[row + j]! -= vi * w[j]! + wi * v[j]!;
    }
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!), beside };
}

/** Turns the number beside `first` to 0, with what lies behind it. */
function diagonalize(d: Float64Array, e: Float64Array, first: number): void {
  const n = d.length;
  for (let sweep = 0;; sweep++) {
    let last = first;
    while (last + 1 < n) {
      const size = Math.abs(d[last]!) + Math.abs(d[last + 1]!);
      if (Math.abs(e[last]!) <= Number.EPSILON * size) break;
      last++;
    }
    if (last === first) return;
    if (sweep === MAX_SWEEPS) {
      throw new TuttiError("DATA_LOSS", "A symmetric matrix must hold finite numbers only");
    }
    // Wilkinson's shift.
    let g = (d[first + 1]! - d[first]!) / (2 * e[first]!);
    let r = Math.hypot(g, 1);
    g = d[last]! - d[first]! + e[first]! / (g + (g >= 0 ? r : -r));
    let sine = 1, cosine = 1, p = 0;
    let i = last - 1;
    for (; i >= first; i--) {
      const f = sine * e[i]!, b = cosine * e[i]!;
      r = Math.hypot(f, g);
      e[i + 1] = r;
      if (r === 0) {
        d[i + 1]! -= p;
        e[last] = 0;
        break;
      }
      [sine, cosine] = [f / r, g / r];
      g = d[i + 1]! - p;
      r = (d[i]! - g) * sine + 2 * cosine * b;
      p = sine * r;
      d[i + 1] = g + p;
      g = cosine * r - b;
    }
    if (r === 0 && i >= first) continue;
    d[first]! -= p;
    e[first] = g;
    e[last] = 0;
  }
}
