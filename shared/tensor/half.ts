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

/** Rounds f64 to bfloat16 bits in one step (to nearest, ties to even; NaN stays NaN). */
export function float64ToBfloat16(values: Float64Array): Uint16Array<ArrayBuffer> {
  const singles = new Float32Array(values);
  const words = new Uint32Array(singles.buffer);
  for (let i = 0; i < words.length; i++) {
    const [exact, single] = [values[i]!, singles[i]!];
    if (single === exact || exact !== exact) continue;
    // To odd: the last bit tells that something follows, so the second rounding cannot take it for a tie.
    if (Math.abs(single) > Math.abs(exact)) words[i] = words[i]! - 1;
    words[i] = words[i]! | 1;
  }
  return float32ToBfloat16(singles);
}
