/**
 * 16-bit floats as raw bits: IEEE half (`float16`) and bfloat16, to and from `Float32Array`.
 *
 * @module
 */

/** Widens IEEE half bits to f32; exact. */
export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const halves = new Float16Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.length);
  return new Float32Array(halves);
}

/** Rounds f32 to IEEE half bits (to nearest, ties to even; beyond 65504 becomes infinity). */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  return new Uint16Array(new Float16Array(values).buffer);
}

/** Widens bfloat16 bits to f32; exact. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Rounds f32 to bfloat16 bits (to nearest, ties to even; NaN stays NaN). */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer as ArrayBuffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const isNaN = (word & 0x7fffffff) > 0x7f800000;
    bits[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}
