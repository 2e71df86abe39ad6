/**
 * What the planes ask of a codec: f32 numbers to the bytes of a wire dtype, and back. f32 itself needs none, its bytes are
 * those of the tensor.
 *
 * @module
 */

import type { WireDtype } from "../codec/wire_dtype.ts";

export interface WireCodec {
  /** Fills `target`, of `encodedBytes(dtype, source.length)` bytes. */
  encode(dtype: WireDtype, source: Float32Array, target: Uint8Array): void;
  /** Fills `target` from `source`, of `encodedBytes(dtype, target.length)` bytes. */
  decode(dtype: WireDtype, source: Uint8Array, target: Float32Array): void;
  encodedBytes(dtype: WireDtype, elements: number): number;
}

/**
 * Tensors are encoded piece by piece, so that the first bytes travel before the last ones are encoded. 1 MiB of f32, which
 * stays in a core's cache, and whole blocks of every dtype.
 */
export const PIECE_ELEMENTS = 256 * 1024;

/** Of a whole tensor, encoded piece by piece. */
export function payloadBytes(
  codec: WireCodec | undefined,
  dtype: WireDtype,
  elements: number,
): number {
  const bytesOf = (count: number) => codec?.encodedBytes(dtype, count) ?? 4 * count;
  if (dtype === "f32" || elements <= PIECE_ELEMENTS) return bytesOf(elements);
  const rest = elements % PIECE_ELEMENTS;
  const pieces = (elements - rest) / PIECE_ELEMENTS;
  return pieces * bytesOf(PIECE_ELEMENTS) + (rest === 0 ? 0 : bytesOf(rest));
}
