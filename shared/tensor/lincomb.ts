/**
 * The one arithmetic primitive on tensors outside graphs. Every scheduler update, guidance and mean is
 * a linear combination with f64 coefficients, so each stays one line that reads like its equation.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { DTYPES } from "./dtype.ts";
import { type F32Tensor, makeTensor, type Tensor } from "./tensor.ts";

/** What can be combined. Doubles are for measuring what f32 cannot resolve. */
type Real = "float32" | "float64";

/**
 * `sum_i a_i x_i`, accumulated in f64 and rounded once to the tensors' dtype.
 *
 * @param terms pairs `[a_i, x_i]`; all `x_i` have one shape and dtype
 * @param into where the sum goes; may be one of the terms. @default new memory
 * @throws {ShapeError} if the list is empty or shapes differ
 */
export function lincomb<D extends Real = "float32">(
  terms: readonly (readonly [number, Tensor<D>])[],
  into?: Tensor<D>,
): Tensor<D> {
  const first = terms[0]?.[1];
  if (first === undefined) throw new ShapeError("lincomb needs at least one term");
  for (const x of [...terms.map(([, x]) => x), ...(into ? [into] : [])]) {
    if (x.shape.join() !== first.shape.join()) {
      throw new ShapeError(
        `lincomb needs equal shapes: [${x.shape}] differs from [${first.shape}]`,
      );
    }
  }
  const result = into ?? zerosLike(first);
  const out: Float32Array | Float64Array = result.data;
  const coefficients = terms.map(([a]) => a);
  const arrays = terms.map(([, x]): Float32Array | Float64Array => x.data);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = 0; k < arrays.length; k++) sum += coefficients[k]! * arrays[k]![i]!;
    out[i] = sum;
  }
  return result;
}

function zerosLike<D extends Real>({ dtype, shape, data }: Tensor<D>): Tensor<D> {
  const zeros = new DTYPES[dtype].array(data.length) as Tensor<D>["data"];
  return makeTensor(dtype, shape, zeros);
}

/** The mean of tensors of one shape, in `into` if given. One tensor is its own mean and is returned as it is. */
export function mean(tensors: readonly F32Tensor[], into?: F32Tensor): F32Tensor {
  if (tensors.length === 1) return tensors[0]!;
  return lincomb(tensors.map((x) => [1 / tensors.length, x] as const), into);
}
