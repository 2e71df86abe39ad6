/**
 * supermerger's cosine merges: where two models point the same way, the first one stays; where they differ, the second
 * takes over. A column is what a tensor holds along its first axis: the weights of one input, of all outputs.
 *
 * @module
 */

import { combine, inStep, type Values } from "../values.ts";
import type { ValueRange } from "./method.ts";

/** Columns of this part are surveyed as outliers at either end, and left out. */
const TRIMMED_SHARE = 0.01;

/** Below it a length counts as this, so that zeros are like nothing. */
const LEAST_LENGTH = 1e-8;

interface Similarities {
  /** Cosine of each column. */
  readonly columns: Float64Array;
  /** Cosine of the whole tensors. */
  readonly whole: number;
}

/** `B (1 - k) + A k`, `k` from similarities of columns that have length 1. */
export const cosineA = cosineMerge(normalised, ({ columns }) => columns);

/** `B (1 - k) + A k`, `k` from similarities of columns as long as they are. */
export const cosineB = cosineMerge(similarities, combined);

function cosineMerge(
  compare: (models: readonly Values[]) => Similarities,
  surveyed: (of: Similarities) => Float64Array,
) {
  return {
    /** The range of all similarities of both models, without outliers. */
    survey: (tensors: Iterable<readonly Values[]>): ValueRange =>
      trimmedRange([...tensors].map((models) => surveyed(compare(models)))),
    merge(
      [a, b]: readonly Values[],
      { alpha }: { readonly alpha: number },
      { min, max }: ValueRange,
    ): Values {
      const shares = combined(compare([a!, b!])).map((similarity) =>
        // Without a range all columns are alike, as those of a model and itself.
        Math.min(1, Math.max(0, (max > min ? (similarity - min) / (max - min) : 0) - alpha))
      );
      return {
        shape: a!.shape,
        *pieces() {
          let column = 0;
          yield* combine([a!, b!], (out, [a, b]) => {
            for (let i = 0; i < out.length; i++) {
              const share = shares[column]!;
              out[i] = b![i]! * (1 - share) + a![i]! * share;
              if (++column === shares.length) column = 0;
            }
          }).pieces();
        },
      };
    },
  };
}

/** Sums over columns: of squares of both tensors, and of their product. */
function columnSums([a, b]: readonly Values[]) {
  const { shape: [, ...trailing] } = a!;
  const count = trailing.reduce((product, size) => product * size, 1);
  const [squaresA, squaresB, products] = Array.from(
    { length: 3 },
    () => new Float64Array(count),
  ) as [Float64Array, Float64Array, Float64Array];
  let column = 0;
  for (const [pieceA, pieceB] of inStep([a!, b!])) {
    for (let i = 0; i < pieceA!.length; i++) {
      const [x, y] = [pieceA![i]!, pieceB![i]!];
      squaresA[column]! += x * x;
      squaresB[column]! += y * y;
      products[column]! += x * y;
      if (++column === count) column = 0;
    }
  }
  return { squaresA, squaresB, products };
}

function similarities(models: readonly Values[]): Similarities {
  const { squaresA, squaresB, products } = columnSums(models);
  return {
    columns: products.map((product, j) => cosine(product, squaresA[j]!, squaresB[j]!)),
    whole: cosine(sum(products), sum(squaresA), sum(squaresB)),
  };
}

function normalised(models: readonly Values[]): Similarities {
  const { squaresA, squaresB, products } = columnSums(models);
  const columns = products.map((product, j) => cosine(product, squaresA[j]!, squaresB[j]!));
  const lengths = [squaresA, squaresB].map((squares) => squares.filter((x) => x > 0).length);
  return { columns, whole: cosine(sum(columns), lengths[0]!, lengths[1]!) };
}

function combined({ columns, whole }: Similarities): Float64Array {
  return columns.map((column) => (column + whole) / 2);
}

function cosine(product: number, squareA: number, squareB: number): number {
  const [a, b] = [squareA, squareB].map((square) => Math.max(LEAST_LENGTH, Math.sqrt(square)));
  return product / (a! * b!);
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}

/** First what is below the 1st percentile goes, then of the rest what is above the 99th. */
function trimmedRange(parts: readonly Float64Array[]): ValueRange {
  const all = new Float64Array(parts.reduce((count, { length }) => count + length, 0));
  let filled = 0;
  for (const part of parts) {
    all.set(part, filled);
    filled += part.length;
  }
  all.sort();
  const low = percentile(all, TRIMMED_SHARE);
  const above = all.subarray(all.findIndex((value) => value >= low));
  const high = percentile(above, 1 - TRIMMED_SHARE);
  return { min: above[0]!, max: above.findLast((value) => value <= high)! };
}

/** Between two values in proportion, as numpy's. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [value, next] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return value + (next - value) * (place - below);
}
