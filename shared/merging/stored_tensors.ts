/** What of a merge is stored, in a file or in memory: which tensors in which types, and their elements rounded. @module */

import type { TensorSpec } from "../safetensors/writer.ts";
import { type FloatDType, isFloat, roundTo } from "../tensor/float64.ts";
import { makeTensor, type Tensor } from "../tensor/tensor.ts";
import { FileTensor, type MergeModel, type TensorType } from "./model.ts";
import type { Values } from "./values.ts";

/** @param dtype what floats are stored as. @default each tensor's widest dtype among the models */
export function storedTensors(
  { tensors }: MergeModel,
  dtype: FloatDType | undefined,
): TensorSpec[] {
  const stored = ({ dtype: own, shape }: TensorType) => ({
    dtype: isFloat(own) ? dtype ?? own : own,
    shape,
  });
  return [...tensors].map(([name, type]) => ({ name, ...stored(type) }));
}

/** A tensor's elements as they are stored: its own bytes where nothing was computed, f64 rounded once otherwise. */
export function* storedPieces(values: Values, dtype: FloatDType): Generator<Tensor> {
  if (values instanceof FileTensor && (values.dtype === dtype || !isFloat(values.dtype))) {
    yield* values.storedPieces();
    return;
  }
  for (const piece of values.pieces()) {
    yield makeTensor(dtype, [piece.length], roundTo(dtype, piece));
  }
}
