/**
 * Which pixels one pixel of a resized picture is made of, as Pillow has it: a filter as wide as the source pixels that one
 * target pixel covers, so that nothing is skipped (antialiasing).
 *
 * @module
 */

export interface Filter {
  /** Where it ends, in pixels. */
  readonly support: number;
  /** At a distance of x pixels, `0 <= x < support`. */
  readonly at: (x: number) => number;
}

export const BILINEAR: Filter = { support: 1, at: (x) => 1 - x };

/** Keys' cubic with a = -0.5, as Pillow and torch with antialiasing have it. */
export const BICUBIC: Filter = { support: 2, at: (x) => cubic(x, -0.5) };

/** Keys' cubic, at a distance of x < 2. */
export function cubic(x: number, a: number): number {
  return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : (((x - 5) * x + 8) * x - 4) * a;
}

/** The source pixels of one target pixel. */
export interface Window {
  readonly start: number;
  /** Sum to 1. */
  readonly weights: readonly number[];
}

/** By target pixel, along one axis. Enlarging, the filter keeps its own width. */
export function windows(
  sourceSize: number,
  targetSize: number,
  { support, at }: Filter,
): Window[] {
  const scale = sourceSize / targetSize;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  return Array.from({ length: targetSize }, (_, target) => {
    const centre = (target + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(sourceSize, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: end - start }, (_, k) => {
      const distance = Math.abs((start + k + 0.5 - centre) / stretch);
      return distance < support ? at(distance) : 0;
    });
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { start, weights: raw.map((weight) => weight / sum) };
  });
}

/** Source indices with their weights, of one target index. */
export type Taps = readonly (readonly [index: number, weight: number])[];

/**
 * torch's `interpolate(mode="bicubic")` without antialiasing, a = -0.75: source indices with their weights, by target index.
 * Pixels are at their centres; indices beyond the ends are the ends.
 *
 * @param scale source pixels per target pixel
 */
export function bicubicTaps(
  sourceSize: number,
  targetSize: number,
  scale = sourceSize / targetSize,
): Taps[] {
  return Array.from({ length: targetSize }, (_, target) => {
    const position = (target + 0.5) * scale - 0.5;
    const below = Math.floor(position);
    return [-1, 0, 1, 2].map((step) => {
      const index = Math.min(sourceSize - 1, Math.max(0, below + step));
      return [index, cubic(Math.abs(position - below - step), -0.75)] as const;
    });
  });
}

/**
 * A grid of vectors on another grid.
 *
 * @param source `[rows, width, channels]`
 * @param width columns of the source
 * @param taps of each target row and of each target column
 * @returns `[rows, columns, channels]` of the target
 */
export function applyTaps(
  source: ArrayLike<number>,
  { width, channels }: { readonly width: number; readonly channels: number },
  { rows, columns }: { readonly rows: readonly Taps[]; readonly columns: readonly Taps[] },
): Float32Array<ArrayBuffer> {
  const target = new Float32Array(rows.length * columns.length * channels);
  rows.forEach((row, y) =>
    columns.forEach((column, x) => {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (const [j, v] of row) {
          for (const [i, u] of column) sum += v * u * source[(j * width + i) * channels + c]!;
        }
        target[(y * columns.length + x) * channels + c] = sum;
      }
    })
  );
  return target;
}
