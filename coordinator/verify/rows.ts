/** Rows of a batch. @module */

import { concatRows, type F32Tensor } from "../../shared/tensor/tensor.ts";

/** `[1, ...]` as `[count, ...]`. */
export function repeatRows(row: F32Tensor, count: number): F32Tensor {
  return concatRows(new Array<F32Tensor>(count).fill(row));
}
