/**
 * f32 as int8 in blocks of 256 with one scale each: the largest magnitude of the block becomes 127, and no value moves
 * by more than half a step. A block is its values, then its scale as f32; the last one may be short, and zeros bring
 * its values to a multiple of 4.
 *
 * @module
 */

import { refuseValue } from "./refuse_value.ts";
import { BLOCK_ELEMENTS, int8BlockBytes } from "./wire_dtype.ts";

/** Magnitude of the largest int8 value: -128 is not used, so that both signs have the same steps. */
const STEPS = 127;

const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** Nothing finite is beyond what a block can have. */
const RANGE = { limit: MAX_FLOAT32, overflow: Infinity };

/** One place below the quotient, which 127 would take beyond f32 again. */
const MAX_SCALE = Math.fround(MAX_FLOAT32 / STEPS * (1 - 2 ** -23));

/** A block whose values are all smaller becomes zeros: its scale would be subnormal and say little. */
const MIN_MAGNITUDE = STEPS * 2 ** -126;

const INFINITY_BITS = 0x7f800000;

const BLOCK_WORDS = int8BlockBytes(BLOCK_ELEMENTS) / 4;

/** One f32 and its bits. */
const float = new Float32Array(1);
const floatBits = new Int32Array(float.buffer);

/** A short block, with zeros behind it, and its bytes. */
const tail = new Float32Array(BLOCK_ELEMENTS);
const tailWords = new Int32Array(BLOCK_WORDS);

/** @param target at a multiple of 4 */
export function encodeInt8(source: Float32Array, target: Uint8Array): void {
  const words = new Int32Array(target.buffer, target.byteOffset, target.byteLength / 4);
  const rest = source.length % BLOCK_ELEMENTS;
  const whole = source.length - rest;
  if (!encodeBlocks(source, whole, words)) refuseValue("int8", source, RANGE);
  if (rest === 0) return;
  tail.fill(0).set(source.subarray(whole));
  if (!encodeBlocks(tail, BLOCK_ELEMENTS, tailWords)) refuseValue("int8", source, RANGE);
  const first = whole / BLOCK_ELEMENTS * BLOCK_WORDS;
  words.set(tailWords.subarray(0, words.length - first - 1), first);
  words[words.length - 1] = tailWords[BLOCK_WORDS - 1]!;
}

/**
 * Whole blocks.
 *
 * @returns false if there is a value that is not finite
 */
function encodeBlocks(source: Float32Array, length: number, words: Int32Array): boolean {
  const bits = new Int32Array(source.buffer, source.byteOffset, length);
  for (let start = 0, word = 0; start < length; start += BLOCK_ELEMENTS, word += BLOCK_WORDS) {
    const largest = largestMagnitudeBits(bits, start);
    if (largest >= INFINITY_BITS) return false;
    floatBits[0] = largest;
    const magnitude = float[0]! < MIN_MAGNITUDE ? 0 : float[0]!;
    quantizeBlock(source, start, magnitude === 0 ? 0 : STEPS / magnitude, words, word);
    float[0] = Math.min(magnitude / STEPS, MAX_SCALE);
    words[word + BLOCK_WORDS - 1] = floatBits[0]!;
  }
  return true;
}

/** Without their sign, f32 bits are in the order of the numbers; NaN comes last. Two maxima, so that none waits. */
function largestMagnitudeBits(bits: Int32Array, start: number): number {
  let even = 0, odd = 0;
  for (let i = start; i < start + BLOCK_ELEMENTS; i += 2) {
    even = Math.max(even, bits[i]! & 0x7fffffff);
    odd = Math.max(odd, bits[i + 1]! & 0x7fffffff);
  }
  return Math.max(even, odd);
}

/**
 * Four values to a word. 128.5 makes them positive, so that cutting the fraction rounds to nearest; the exclusive or
 * takes 128 off again, from each byte.
 */
function quantizeBlock(
  source: Float32Array,
  start: number,
  inverse: number,
  words: Int32Array,
  word: number,
): void {
  for (let i = start; i < start + BLOCK_ELEMENTS; i += 4, word++) {
    const a = (source[i]! * inverse + 128.5) | 0;
    const b = (source[i + 1]! * inverse + 128.5) | 0;
    const c = (source[i + 2]! * inverse + 128.5) | 0;
    const d = (source[i + 3]! * inverse + 128.5) | 0;
    words[word] = (a | (b << 8) | (c << 16) | (d << 24)) ^ 0x80808080;
  }
}

/**
 * Four values from a word: shifted up, then down again with its sign.
 *
 * @param source at a multiple of 4
 */
export function decodeInt8(source: Uint8Array, target: Float32Array): void {
  const { buffer, byteOffset, byteLength } = source;
  const words = new Int32Array(buffer, byteOffset, byteLength / 4);
  const scales = new Float32Array(buffer, byteOffset, byteLength / 4);
  const rest = target.length % BLOCK_ELEMENTS;
  const whole = target.length - rest;
  let word = 0;
  for (let start = 0; start < whole; start += BLOCK_ELEMENTS, word++) {
    const scale = scales[word + BLOCK_WORDS - 1]!;
    for (let i = start; i < start + BLOCK_ELEMENTS; i += 4, word++) {
      const four = words[word]!;
      target[i] = (four << 24 >> 24) * scale;
      target[i + 1] = (four << 16 >> 24) * scale;
      target[i + 2] = (four << 8 >> 24) * scale;
      target[i + 3] = (four >> 24) * scale;
    }
  }
  if (rest === 0) return;
  const last = scales[scales.length - 1]!;
  const steps = new Int8Array(buffer, byteOffset + 4 * word, rest);
  for (let i = 0; i < rest; i++) target[whole + i] = steps[i]! * last;
}
