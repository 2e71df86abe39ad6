/**
 * 8-bit floats as raw bytes (Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433, table 1): `e4m3fn` has four bits of
 * exponent, no infinities and one NaN per sign; `e5m2` is the upper half of an IEEE half. Both are exact in IEEE half.
 *
 * @module
 */

import type { DType } from "./dtype.ts";

export type Float8DType = "float8_e4m3fn" | "float8_e5m2";

export function isFloat8(dtype: DType): dtype is Float8DType {
  return dtype === "float8_e4m3fn" || dtype === "float8_e5m2";
}

/** IEEE half bits of every byte, by dtype. */
const HALVES: Readonly<Record<Float8DType, Uint16Array>> = {
  float8_e4m3fn: new Uint16Array(
    Float16Array.from({ length: 256 }, (_, byte) => e4m3fn(byte)).buffer,
  ),
  float8_e5m2: Uint16Array.from({ length: 256 }, (_, byte) => byte << 8),
};

/** Widens to IEEE half bits; exact. */
export function float8ToFloat16(dtype: Float8DType, bytes: Uint8Array): Uint16Array<ArrayBuffer> {
  const table = HALVES[dtype];
  const halves = new Uint16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) halves[i] = table[bytes[i]!]!;
  return halves;
}

/** Sign, four bits of exponent with a bias of 7, three of mantissa; the largest code is NaN. */
function e4m3fn(byte: number): number {
  const [exponent, mantissa] = [(byte >> 3) & 15, byte & 7];
  if (exponent === 15 && mantissa === 7) return NaN;
  const magnitude = exponent === 0
    ? mantissa / 8 * 2 ** -6
    : (1 + mantissa / 8) * 2 ** (exponent - 7);
  return byte > 127 ? -magnitude : magnitude;
}
