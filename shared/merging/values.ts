/**
 * Tensors as merging sees them: values in f64 that are computed when somebody goes through them, a bounded piece at a
 * time, so that methods compose like formulas and no tensor has to fit into memory.
 *
 * @module
 */

import { elementCount, type Shape } from "../tensor/tensor.ts";

/** Elements of a piece: 1 MiB of f64. Larger ones leave the processor's cache, smaller ones cost calls. */
export const PIECE_ELEMENTS = 2 ** 17;

export interface Values {
  readonly shape: Shape;
  /**
   * All elements in order, `PIECE_ELEMENTS` at a time and a shorter last piece. A piece holds until the next one is
   * asked for. Can be asked for several times, also side by side.
   */
  pieces(): Iterable<Float64Array>;
}

/** Writes one piece of a result, given the same piece of every input. */
export type PieceFormula = (
  out: Float64Array,
  inputs: readonly Float64Array[],
) => void;

/** A tensor of which every element is computed from the same element of the inputs. */
export function combine(inputs: readonly Values[], formula: PieceFormula): Values {
  const [{ shape }] = inputs as readonly [Values];
  return {
    shape,
    *pieces() {
      const buffer = new Float64Array(Math.min(PIECE_ELEMENTS, elementCount(shape)));
      for (const pieces of inStep(inputs)) {
        const out = buffer.subarray(0, pieces[0]!.length);
        formula(out, pieces);
        yield out;
      }
    },
  };
}

/** The same piece of several tensors of one shape, from the first piece to the last. */
export function* inStep(inputs: readonly Values[]): Generator<readonly Float64Array[]> {
  const iterators = inputs.map((input) => input.pieces()[Symbol.iterator]());
  try {
    while (true) {
      const pieces: Float64Array[] = [];
      for (const iterator of iterators) {
        const next = iterator.next();
        if (next.done) return;
        pieces.push(next.value);
      }
      yield pieces;
    }
  } finally {
    for (const iterator of iterators) iterator.return?.();
  }
}
