/** Reads a safetensors file that is in memory already, under the same checks as one on disk. @module */

import { type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import { LENGTH_BYTES, parseHeader, parseHeaderLength } from "./header.ts";

export interface SafetensorsContent {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * @param bytes of the whole file
 * @param where they came from, for errors
 * @throws {FormatError} as `SafetensorsFile`
 */
export function readSafetensors(bytes: Uint8Array<ArrayBuffer>, where: string): SafetensorsContent {
  const size = bytes.byteLength;
  const length = parseHeaderLength(bytes, size, where);
  const header = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  const { entries, metadata } = parseHeader(header, size, where);
  const tensors = [...entries.values()].map(({ name, dtype, shape, begin, end }) =>
    // A copy, for its own alignment.
    [name, tensorFromBytes(dtype, shape, bytes.slice(begin, end))] as const
  );
  return { tensors: new Map(tensors), metadata };
}
