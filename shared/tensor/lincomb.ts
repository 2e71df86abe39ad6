/**
 * The one arithmetic primitive on tensors outside graphs. Every scheduler update, guidance and mean is
 * a linear combination with f64 coefficients, so each stays one line that reads like its equation.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { f32, type F32Tensor } from "./tensor.ts";

/**
 * `sum_i a_i x_i`, accumulated in f64 and rounded once to f32.
 *
 * @param terms pairs `[a_i, x_i]`; all `x_i` have one shape
 * @param into where the sum goes; may be one of the terms. @default new memory
 * @throws {ShapeError} if the list is empty or shapes differ
 */
export function lincomb(
  terms: readonly (readonly [number, F32Tensor])[],
  into?: F32Tensor,
): F32Tensor {
  const first = terms[0]?.[1];
  if (first === undefined) throw new ShapeError("lincomb needs at least one term");
  for (const x of [...terms.map(([, x]) => x), ...(into ? [into] : [])]) {
    if (x.shape.join() !== first.shape.join()) {
      throw new ShapeError(
        `lincomb needs equal shapes: [${x.shape}] differs from [${first.shape}]`,
      );
    }
  }
  const result = into ?? f32(first.shape);
  const out = result.data;
  const coefficients = terms.map(([a]) => a);
  const arrays = terms.map(([, x]) => x.data);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = 0; k < arrays.length; k++) sum += coefficients[k]! * arrays[k]![i]!;
    out[i] = sum;
  }
  return result;
}

/** The mean of tensors of one shape, in `into` if given. One tensor is its own mean and is returned as it is. */
export function mean(tensors: readonly F32Tensor[], into?: F32Tensor): F32Tensor {
  if (tensors.length === 1) return tensors[0]!;
  return lincomb(tensors.map((x) => [1 / tensors.length, x] as const), into);
}
