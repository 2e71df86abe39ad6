import assert from "node:assert/strict";
import { type FloatDType, roundTo, widen, widerFloat } from "../../../shared/tensor/float64.ts";

Deno.test("widen() and roundTo() give every 16-bit number back, bit for bit", () => {
  const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  for (const [dtype, exponent] of [["float16", 0x7c00], ["bfloat16", 0x7f80]] as const) {
    // NaNs stay NaNs, whose payload is nobody's business.
    const numbers = bits.filter((value) => (value & 0x7fff) <= exponent);
    const wide = new Float64Array(numbers.length);
    widen(dtype, numbers, wide);
    assert.deepEqual(roundTo(dtype, wide), numbers);
    const [nan] = roundTo(dtype, Float64Array.of(NaN));
    assert.ok((Number(nan) & 0x7fff) > exponent);
  }
});

Deno.test("roundTo() rounds once: just beside a tie, by way of f32 it would be a tie", () => {
  const tiny = 2 ** -40;
  const cases: readonly (readonly [FloatDType, number, number])[] = [
    // The last place of f16 at 1 is 2^-10, of bf16 2^-7; ties go to even, here down.
    ["float16", 1 + 2 ** -11, 0x3c00],
    ["float16", 1 + 2 ** -11 + tiny, 0x3c01],
    ["bfloat16", 1 + 2 ** -8, 0x3f80],
    ["bfloat16", 1 + 2 ** -8 + tiny, 0x3f81],
    ["bfloat16", -(1 + 2 ** -8 + tiny), 0xbf81],
    ["bfloat16", 1 + 3 * 2 ** -8 - tiny, 0x3f81],
    ["bfloat16", 1 + 3 * 2 ** -8, 0x3f82],
    ["bfloat16", -0, 0x8000],
    ["bfloat16", 1e-310, 0],
    ["bfloat16", 1e300, 0x7f80],
    ["bfloat16", -Infinity, 0xff80],
  ];
  for (const [dtype, value, expected] of cases) {
    assert.equal(roundTo(dtype, Float64Array.of(value))[0], expected, `${dtype} of ${value}`);
  }
});

Deno.test("widerFloat() holds every value of both", () => {
  assert.equal(widerFloat("float16", "float16"), "float16");
  assert.equal(widerFloat("float16", "bfloat16"), "float32");
  assert.equal(widerFloat("bfloat16", "float32"), "float32");
  assert.equal(widerFloat("float64", "float16"), "float64");
});
