/** f32 as bfloat16, its upper half: two values at a time, as one 32-bit word. @module */

import { refuseValue } from "./refuse_value.ts";

/** The largest bfloat16, and halfway to the one that would follow. */
const RANGE = { limit: (2 - 2 ** -7) * 2 ** 127, overflow: (2 - 2 ** -8) * 2 ** 127 };

/** @param target at a multiple of 4 */
export function encodeBfloat16(source: Float32Array, target: Uint8Array): void {
  const bits = new Int32Array(source.buffer, source.byteOffset, source.length);
  const pairs = new Int32Array(target.buffer, target.byteOffset, source.length >>> 1);
  let beyond = 0;
  for (let pair = 0, i = 0; pair < pairs.length; pair++, i += 2) {
    const a = bits[i]!, b = bits[i + 1]!;
    beyond |= signIfBeyond(a) | signIfBeyond(b);
    pairs[pair] = (rounded(a) >>> 16) | (rounded(b) & 0xffff0000);
  }
  if (bits.length % 2 !== 0) {
    const last = bits[bits.length - 1]!;
    beyond |= signIfBeyond(last);
    const halves = new Uint16Array(target.buffer, target.byteOffset, bits.length);
    halves[bits.length - 1] = rounded(last) >>> 16;
  }
  if (beyond < 0) refuseValue("bf16", source, RANGE);
}

/** Has the sign bit for what is NaN, infinite or rounds to infinity: magnitudes of 0x7f7f8000 and more. */
function signIfBeyond(bits: number): number {
  return (bits & 0x7fffffff) + 0x00808000;
}

/** f32 bits whose upper half is the nearest bfloat16, ties to even. What is beyond is refused. */
function rounded(bits: number): number {
  return bits + 0x7fff + ((bits >>> 16) & 1);
}

/** @param source at a multiple of 4 */
export function decodeBfloat16(source: Uint8Array, target: Float32Array): void {
  const halves = new Uint16Array(source.buffer, source.byteOffset, target.length);
  const bits = new Int32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
}
