/** Writes a merge to a file, tensor by tensor and each in pieces. @module */

import { throwIfAborted } from "../../shared/errors.ts";
import { streamSafetensors, type TensorSpec } from "../../shared/safetensors/writer.ts";
import { type FloatDType, isFloat, roundTo } from "../../shared/tensor/float64.ts";
import { byteLength, makeTensor, type Tensor } from "../../shared/tensor/tensor.ts";
import { FileTensor, type MergeModel, type TensorType } from "./model.ts";
import type { Values } from "./values.ts";

export interface WriteMergeOptions {
  /** What floats are stored as. @default each tensor's widest dtype among the models */
  readonly dtype?: FloatDType;
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (writtenBytes: number) => void;
}

/**
 * Replaces a file that is there, but only when the new one is whole.
 *
 * @throws {TuttiError} if it cannot be written, CANCELLED if the signal fires; nothing is left behind then
 */
export async function writeMerge(
  path: string,
  model: MergeModel,
  { dtype, metadata, signal, onProgress }: WriteMergeOptions,
): Promise<void> {
  let writtenBytes = 0;
  function* piecesOf({ name, dtype }: TensorSpec): Generator<Tensor> {
    for (const piece of storedPieces(model.tensor(name), dtype as FloatDType)) {
      throwIfAborted(signal);
      yield piece;
      writtenBytes += piece.data.byteLength;
      onProgress?.(writtenBytes);
    }
  }
  await streamSafetensors(path, tensorSpecs(model, dtype), piecesOf, metadata);
}

/** Bytes of all tensors together. */
export function mergeBytes(model: MergeModel, dtype?: FloatDType): number {
  const specs = tensorSpecs(model, dtype);
  return specs.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
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

function tensorSpecs({ tensors }: MergeModel, dtype: FloatDType | undefined): TensorSpec[] {
  const stored = ({ dtype: own, shape }: TensorType) => ({
    dtype: isFloat(own) ? dtype ?? own : own,
    shape,
  });
  return [...tensors].map(([name, type]) => ({ name, ...stored(type) }));
}
