import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { bitEqual, difference } from "../../../../shared/tensor/compare.ts";
import { TorchCpuGenerator } from "../../../../shared/tensor/torch_randn.ts";
import { decode, encode } from "../../../../shared/wire/codec/codec.ts";
import {
  BLOCK_ELEMENTS,
  encodedBytes,
  WIRE_DTYPES,
  type WireDtype,
} from "../../../../shared/wire/codec/wire_dtype.ts";
import { encoded, travelled } from "./travel.ts";

/** Counts where something ends: nothing, a pair, a word, four words, a block, several, the stage of odd offsets. */
const COUNTS = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 127, 254, 255, 256, 257, 258, 259, 260, 261],
  ...[511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 4099, 8191, 8192, 8193, 12291],
];

const noise = new TorchCpuGenerator(1).randn([COUNTS.at(-1)!]).data;

/** Values of a feature map `[channels, 32, 32]` with `outliers` channels of 20 times the spread. */
function features(channels: number, outliers = 0): Float32Array {
  const map = new TorchCpuGenerator(2).randn([channels, 32, 32]).data;
  return map.map((value, i) => i < outliers * 32 * 32 ? 20 * value : value);
}

Deno.test("encodedBytes() counts four, two and one bytes, and a scale for each block", () => {
  for (const count of COUNTS) {
    assert.equal(encodedBytes("f32", count), 4 * count);
    assert.equal(encodedBytes("f16", count), 2 * count);
    assert.equal(encodedBytes("bf16", count), 2 * count);
  }
  const int8 = [[0, 0], [1, 8], [4, 8], [5, 12], [255, 260], [256, 260], [257, 268], [512, 520]];
  for (const [count, bytes] of int8) assert.equal(encodedBytes("int8", count!), bytes);
  assert.equal(encodedBytes("int8", 5_242_880), 5_324_800);
});

Deno.test("f32 keeps every bit: NaN payloads, infinities, -0, subnormals, at any count", () => {
  const odd = Uint32Array.of(0x7fc00001, 0xffbfffff, 0x7f800000, 0xff800000, 0x80000000, 1);
  const special = new Float32Array(odd.buffer);
  assert.ok(bitEqual(travelled("f32", special), special));
  for (const count of COUNTS) {
    const values = noise.subarray(0, count);
    assert.ok(bitEqual(travelled("f32", values), values), `${count} values`);
    assert.ok(bitEqual(encoded("f32", values), values), `${count} values`);
  }
});

const ERRORS: readonly (readonly [WireDtype, least: number, most: number])[] = [
  ["f16", 1.8e-4, 2.2e-4],
  ["bf16", 1.5e-3, 1.8e-3],
  ["int8", 6e-3, 7.5e-3],
];

for (const [dtype, least, most] of ERRORS) {
  for (const outliers of [0, 4]) {
    const what = outliers === 0 ? "normal values" : "normal values with outlier channels";
    Deno.test(`${dtype} brings ${what} across with a relative L2 of ${least} to ${most}`, () => {
      const values = features(64, outliers);
      const { relativeL2 } = difference(travelled(dtype, values), values);
      // The lower bound proves that it was really this dtype that travelled.
      assert.ok(relativeL2 > least && relativeL2 < most, `${relativeL2}`);
    });
  }
}

Deno.test("an outlier channel leaves the int8 error of the other channels as it is", () => {
  const plain = difference(travelled("int8", features(8)), features(8));
  const far = features(8, 1).subarray(32 * 32);
  const others = travelled("int8", features(8, 1)).subarray(32 * 32);
  assert.ok(difference(others, far).relativeL2 < 1.1 * plain.relativeL2);
});

for (const dtype of WIRE_DTYPES) {
  Deno.test(`${dtype} in pieces of whole blocks is the whole, at every count`, () => {
    for (const count of COUNTS) {
      const values = noise.subarray(0, count);
      const whole = encoded(dtype, values);
      for (const blocks of [1, 2, 16, 17]) {
        const step = blocks * BLOCK_ELEMENTS;
        const pieces = new Uint8Array(whole.length).fill(0xaa);
        const back = new Float32Array(count).fill(NaN);
        for (let start = 0; start < count; start += step) {
          const end = Math.min(count, start + step);
          const [first, last] = [encodedBytes(dtype, start), encodedBytes(dtype, end)];
          encode(dtype, values.subarray(start, end), pieces.subarray(first, last));
          decode(dtype, pieces.subarray(first, last), back.subarray(start, end));
        }
        assert.ok(bitEqual(pieces, whole), `${count} values in pieces of ${step}`);
        assert.ok(bitEqual(back, travelled(dtype, values)), `${count} values in pieces of ${step}`);
      }
    }
  });

  Deno.test(`${dtype} writes and reads at any byte offset, and no byte beside its own`, () => {
    for (const count of COUNTS) {
      const values = noise.subarray(0, count);
      const expected = encoded(dtype, values);
      for (const offset of [1, 2, 3, 4, 5]) {
        const room = new Uint8Array(offset + expected.length + 4).fill(0xaa);
        const target = room.subarray(offset, offset + expected.length);
        encode(dtype, values, target);
        assert.ok(bitEqual(target, expected), `${count} values at ${offset}`);
        assert.ok(room.subarray(0, offset).every((byte) => byte === 0xaa));
        assert.ok(room.subarray(offset + expected.length).every((byte) => byte === 0xaa));
        const back = new Float32Array(count + 2).fill(7);
        decode(dtype, target, back.subarray(1, count + 1));
        assert.ok(bitEqual(back.subarray(1, count + 1), travelled(dtype, values)));
        assert.deepEqual([back[0], back.at(-1)], [7, 7]);
      }
    }
  });

  Deno.test(`${dtype} brings zeros across as zeros`, () => {
    for (const count of COUNTS) {
      const back = travelled(dtype, new Float32Array(count));
      assert.ok(bitEqual(back, new Float32Array(count)), `${count} values`);
    }
  });

  Deno.test(`${dtype} read and written again is the same`, () => {
    const once = travelled(dtype, noise);
    const again = travelled(dtype, once);
    // An int8 scale is itself rounded, by one place in 2^24.
    if (dtype === "int8") assert.ok(difference(again, once).relativeL2 < 1e-6);
    else assert.ok(bitEqual(again, once));
    assert.equal(bitEqual(once, noise), dtype === "f32");
  });

  Deno.test(`${dtype} refuses bytes of another size, then takes the right ones`, () => {
    const values = noise.subarray(0, 300);
    const size = encodedBytes(dtype, 300);
    for (const wrong of [0, size - 1, size + 1, 2 * size]) {
      const expected = {
        name: "ShapeError",
        message: `300 values in ${dtype} must have ${size} bytes: current count is ${wrong}`,
      };
      assert.throws(() => encode(dtype, values, new Uint8Array(wrong)), expected);
      assert.throws(() => decode(dtype, new Uint8Array(wrong), new Float32Array(300)), ShapeError);
    }
    assert.ok(difference(travelled(dtype, values), values).relativeL2 < 0.01);
  });
}

const LOSSY = WIRE_DTYPES.filter((dtype) => dtype !== "f32");

for (const dtype of LOSSY) {
  Deno.test(`${dtype} refuses NaN and infinity wherever they stand`, () => {
    // Quiet, signalling, all bits, both signs: one of them carries into the sign when it is rounded.
    const words = [0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0x7f800000, 0xff800000];
    for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 256, 257, 259, 4097]) {
      const places = [0, 1, 2, 3, 4, count - 2, count - 1].filter((i) => i >= 0 && i < count);
      for (const place of new Set(places)) {
        for (const word of words) {
          const values = noise.slice(0, count);
          new Uint32Array(values.buffer)[place] = word;
          for (const offset of [0, 1]) {
            const target = new Uint8Array(encodedBytes(dtype, count) + 1);
            const bytes = target.subarray(offset, target.length - 1 + offset);
            assert.throws(() => encode(dtype, values, bytes), {
              name: "TuttiError",
              code: "DATA_LOSS",
              message: `A value that travels as ${dtype} must be finite: ` +
                `current value is ${values[place]}`,
              details: { wireDtype: dtype, value: String(values[place]) },
            }, `${word.toString(16)} at ${place} of ${count}`);
          }
        }
      }
    }
    assert.ok(difference(travelled(dtype, noise), noise).relativeL2 < 0.01);
  });
}
