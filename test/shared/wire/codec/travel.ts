/** Values through a codec, in memory that was used before. @module */

import { decode, encode } from "../../../../shared/wire/codec/codec.ts";
import { encodedBytes, type WireDtype } from "../../../../shared/wire/codec/wire_dtype.ts";

/** The bytes of the values. */
export function encoded(dtype: WireDtype, values: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(encodedBytes(dtype, values.length)).fill(0x55);
  encode(dtype, values, bytes);
  return bytes;
}

/** What comes out of the bytes. */
export function decoded(dtype: WireDtype, bytes: Uint8Array, count: number): Float32Array {
  const values = new Float32Array(count).fill(NaN);
  decode(dtype, bytes, values);
  return values;
}

export function travelled(dtype: WireDtype, values: Float32Array): Float32Array {
  return decoded(dtype, encoded(dtype, values), values.length);
}
