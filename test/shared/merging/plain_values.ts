/** Numbers as a tensor of a merge, and back. @module */

import type { Shape } from "../../../shared/tensor/tensor.ts";
import { PIECE_ELEMENTS, type Values } from "../../../shared/merging/values.ts";

export function plainValues(
  numbers: ArrayLike<number>,
  shape: Shape = [numbers.length],
): Values {
  const all = Float64Array.from(numbers);
  return {
    shape,
    *pieces() {
      for (let i = 0; i < all.length; i += PIECE_ELEMENTS) yield all.slice(i, i + PIECE_ELEMENTS);
    },
  };
}

export function numbersOf(values: Values): number[] {
  const numbers: number[] = [];
  // Piece by piece: a piece holds until the next one is asked for.
  for (const piece of values.pieces()) for (const value of piece) numbers.push(value);
  return numbers;
}
