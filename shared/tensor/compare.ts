/**
 * How far two arrays are apart: the measures that tests, `tutti verify` and the benchmarks share.
 *
 * @module
 */

export interface Difference {
  /** |actual - expected|_2 / |expected|_2; the absolute norm where expected is all zero. */
  readonly relativeL2: number;
  /** Largest |actual_i - expected_i|. */
  readonly maxAbs: number;
  /** Index of the largest difference, or -1 if there is none. */
  readonly worstIndex: number;
}

/** Compares elementwise. NaN anywhere, or another length, is an infinite difference. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) {
    return { relativeL2: Infinity, maxAbs: Infinity, worstIndex: -1 };
  }
  let squares = 0, norm = 0, maxAbs = 0, worstIndex = -1;
  for (let i = 0; i < expected.length; i++) {
    const delta = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(delta)) return { relativeL2: Infinity, maxAbs: Infinity, worstIndex: i };
    squares += delta * delta;
    norm += expected[i]! * expected[i]!;
    if (delta > maxAbs) [maxAbs, worstIndex] = [delta, i];
  }
  const absolute = Math.sqrt(squares);
  return { relativeL2: norm === 0 ? absolute : absolute / Math.sqrt(norm), maxAbs, worstIndex };
}

/** Whether two byte-comparable arrays are equal to the bit (so -0 differs from 0, and NaN equals itself). */
export function bitEqual(a: ArrayBufferView, b: ArrayBufferView): boolean {
  if (a.byteLength !== b.byteLength) return false;
  const left = new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
  const right = new Uint8Array(b.buffer, b.byteOffset, b.byteLength);
  return left.every((byte, i) => byte === right[i]);
}
