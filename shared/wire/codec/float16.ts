/**
 * f32 as IEEE half. The conversion is the engine's own; what it turns into infinity is looked for afterwards in the
 * result, which is half as long as the source. That look takes a fifth of the whole.
 *
 * @module
 */

import { refuseValue } from "./refuse_value.ts";

/** 65520 lies halfway between the largest half and the one that would follow. */
const RANGE = { limit: 65504, overflow: 65520 };

/** @param target at a multiple of 4 */
export function encodeFloat16(source: Float32Array, target: Uint8Array): void {
  new Float16Array(target.buffer, target.byteOffset, source.length).set(source);
  if (hasNonFinite(target)) refuseValue("f16", source, RANGE);
}

/** Whether a half has all bits of its exponent set: it is infinite or NaN. */
function hasNonFinite({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
  const pairs = new Int32Array(buffer, byteOffset, byteLength >>> 2);
  // The exponent plus one reaches the sign's place. Four sums, so that none waits for the one before.
  let a = 0, b = 0, c = 0, d = 0, i = 0;
  for (; i + 3 < pairs.length; i += 4) {
    a |= (pairs[i]! & 0x7c007c00) + 0x04000400;
    b |= (pairs[i + 1]! & 0x7c007c00) + 0x04000400;
    c |= (pairs[i + 2]! & 0x7c007c00) + 0x04000400;
    d |= (pairs[i + 3]! & 0x7c007c00) + 0x04000400;
  }
  for (; i < pairs.length; i++) a |= (pairs[i]! & 0x7c007c00) + 0x04000400;
  if (((a | b | c | d) & 0x80008000) !== 0) return true;
  if (byteLength % 4 === 0) return false;
  const [last] = new Uint16Array(buffer, byteOffset + byteLength - 2, 1);
  return (last! & 0x7c00) === 0x7c00;
}

/** f32 by half bits: 256 KiB, made at first use. */
let widened: Float32Array | undefined;

/**
 * By table: 1.6 times as fast as `Float32Array.set()` of halves.
 *
 * @param source at a multiple of 4
 */
export function decodeFloat16(source: Uint8Array, target: Float32Array): void {
  const table = widened ??= widenAll();
  const bits = new Uint16Array(source.buffer, source.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) target[i] = table[bits[i]!]!;
}

function widenAll(): Float32Array {
  const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  return new Float32Array(new Float16Array(bits.buffer));
}
