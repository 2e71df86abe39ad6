import assert from "node:assert/strict";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../../../shared/tensor/half.ts";
import { TorchCpuGenerator } from "../../../../shared/tensor/torch_randn.ts";
import type { WireDtype } from "../../../../shared/wire/codec/wire_dtype.ts";
import { decoded, encoded, travelled } from "./travel.ts";

/** All 65,536 bit patterns, little-endian. */
const ALL_BYTES = Uint8Array.from({ length: 2 * 0x10000 }, (_, i) => i % 2 ? i >> 9 : i >> 1);

function float(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0]!;
}

/** The value of half bits, from the definition. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** One value's bits on the wire. */
function bitsOf(dtype: WireDtype, value: number): number {
  const [low, high] = encoded(dtype, Float32Array.of(value));
  return low! | high! << 8;
}

Deno.test("f16 reads every half as its definition says", () => {
  const values = decoded("f16", ALL_BYTES, 0x10000);
  for (let bits = 0; bits < 0x10000; bits++) {
    assert.ok(Object.is(values[bits], half(bits)), `${bits.toString(16)}: ${values[bits]}`);
  }
});

Deno.test("f16 writes every finite half as it was, -0 and subnormals too", () => {
  for (const sign of [0, 0x8000]) {
    const bytes = ALL_BYTES.subarray(2 * sign, 2 * (sign + 0x7c00));
    assert.ok(bitEqual(encoded("f16", decoded("f16", bytes, 0x7c00)), bytes));
  }
});

Deno.test("f16 rounds to nearest, and halfway to even", () => {
  const cases: [value: number, bits: number][] = [
    [1, 0x3c00],
    [-2, 0xc000],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [65503, 0x7bff],
    [65504, 0x7bff],
    [float(0x477fefff), 0x7bff],
    [-float(0x477fefff), 0xfbff],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1.5 * 2 ** -24, 0x0002],
    [float(0x33000001), 0x0001],
    [float(1), 0x0000],
    [-float(1), 0x8000],
    [-0, 0x8000],
  ];
  for (const [value, bits] of cases) assert.equal(bitsOf("f16", value), bits, `${value}`);
});

Deno.test("bf16 reads and writes every finite pattern as it was", () => {
  const values = decoded("bf16", ALL_BYTES, 0x10000);
  const bits = new Uint32Array(values.buffer, values.byteOffset);
  for (let i = 0; i < 0x10000; i++) assert.equal(bits[i], i * 0x10000);
  for (const sign of [0, 0x8000]) {
    const bytes = ALL_BYTES.subarray(2 * sign, 2 * (sign + 0x7f80));
    assert.ok(bitEqual(encoded("bf16", decoded("bf16", bytes, 0x7f80)), bytes));
  }
});

Deno.test("bf16 rounds to nearest, and halfway to even", () => {
  const cases: [bits: number, rounded: number][] = [
    [0x3f800000, 0x3f80],
    [0x3f807fff, 0x3f80],
    [0x3f808000, 0x3f80],
    [0x3f808001, 0x3f81],
    [0x3f818000, 0x3f82],
    [0xbf818000, 0xbf82],
    [0x3fffffff, 0x4000],
    [0x7f7f7fff, 0x7f7f],
    [0xff7f7fff, 0xff7f],
    [0x80000000, 0x8000],
    [0x00000001, 0x0000],
    [0x00008001, 0x0001],
    [0x007fffff, 0x0080],
  ];
  for (const [bits, rounded] of cases) {
    assert.equal(bitsOf("bf16", float(bits)), rounded, bits.toString(16));
  }
});

Deno.test("bf16 writes what the checkpoint reader's conversion writes", () => {
  const values = new TorchCpuGenerator(3).randn([9999]).data.map((x, i) => x * 2 ** (i % 200 - 99));
  const halves = float32ToBfloat16(values);
  assert.ok(bitEqual(encoded("bf16", values), halves));
  assert.ok(bitEqual(travelled("bf16", values), bfloat16ToFloat32(halves)));
});

const OVERFLOWS: readonly (readonly [WireDtype, limit: number, overflow: number])[] = [
  ["f16", 65504, 65520],
  ["bf16", float(0x7f7f0000), float(0x7f7f8000)],
];

for (const [dtype, limit, overflow] of OVERFLOWS) {
  Deno.test(`${dtype} refuses a value that would become infinite, by name, and takes the last that does not`, () => {
    const below = float(new Uint32Array(Float32Array.of(overflow).buffer)[0]! - 1);
    for (const value of [overflow, -overflow, float(0x7f7fffff), -float(0x7f7fffff)]) {
      for (const count of [1, 2, 3, 8, 257]) {
        for (const place of new Set([0, count >> 1, count - 1])) {
          const values = new Float32Array(count).fill(below);
          values[place] = value;
          assert.throws(() => encoded(dtype, values), {
            name: "TuttiError",
            code: "OUT_OF_RANGE",
            message: `A value that travels as ${dtype} must be at most ${limit} in magnitude: ` +
              `current value is ${value}`,
            details: { wireDtype: dtype, value: String(value) },
          });
        }
      }
    }
    const extremes = Float32Array.of(limit, -limit, below, -below);
    assert.deepEqual([...travelled(dtype, extremes)], [limit, -limit, limit, -limit]);
  });
}
