/** Writes a merge to a file, tensor by tensor and each in pieces. @module */

import { throwIfAborted } from "../../shared/errors.ts";
import type { MergeModel } from "../../shared/merging/model.ts";
import { storedPieces, storedTensors } from "../../shared/merging/stored_tensors.ts";
import { streamSafetensors, type TensorSpec } from "../../shared/safetensors/writer.ts";
import type { FloatDType } from "../../shared/tensor/float64.ts";
import { byteLength, type Tensor } from "../../shared/tensor/tensor.ts";

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
  await streamSafetensors(path, storedTensors(model, dtype), piecesOf, metadata);
}

/** Bytes of all tensors together. */
export function mergeBytes(model: MergeModel, dtype?: FloatDType): number {
  const specs = storedTensors(model, dtype);
  return specs.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
}
