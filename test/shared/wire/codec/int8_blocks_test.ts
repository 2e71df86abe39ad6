import assert from "node:assert/strict";
import { TorchCpuGenerator } from "../../../../shared/tensor/torch_randn.ts";
import { decoded, encoded, travelled } from "./travel.ts";

const { fround } = Math;
const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;
const SMALLEST_NORMAL = 2 ** -126;

function float32At(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat32(offset, true);
}

Deno.test("an int8 block is 256 values, then the scale, little-endian; the next block follows", () => {
  const values = Float32Array.from({ length: 512 }, (_, i) => i < 256 ? i - 127 : (511 - i) / 2);
  const bytes = encoded("int8", values);
  assert.equal(bytes.length, 520);
  const steps = new Int8Array(bytes.buffer);
  // 128 is the largest magnitude of the first block.
  const expected = [...values.subarray(0, 256)].map((value) => Math.floor(value * 127 / 128 + 0.5));
  assert.deepEqual([...steps.subarray(0, 256)], expected);
  assert.equal(float32At(bytes, 256), fround(128 / 127));
  assert.deepEqual([...bytes.subarray(256, 260)], [0x04, 0x02, 0x81, 0x3f]);
  assert.equal(steps[260], 127);
  assert.equal(float32At(bytes, 516), fround(127.5 / 127));
});

Deno.test("a short int8 block is padded with zeros to a multiple of 4, before its scale", () => {
  for (let rest = 1; rest < 256; rest++) {
    const bytes = encoded("int8", new Float32Array(256 + rest).fill(-3));
    const padded = Math.ceil(rest / 4) * 4;
    assert.equal(bytes.length, 260 + padded + 4);
    const values = new Int8Array(bytes.buffer, 260, padded);
    assert.ok(values.every((value, i) => value === (i < rest ? -127 : 0)), `${rest} values`);
    assert.equal(float32At(bytes, 260 + padded), fround(3 / 127));
  }
});

Deno.test("no int8 value moves by more than half a step of its block, and the largest is kept", () => {
  const noise = new TorchCpuGenerator(4).randn([40 * 256 + 100]).data;
  // Blocks of very different sizes, and an outlier in each.
  const values = noise.map((x, i) => x * 10 ** ((i >> 8) % 20 - 10) * (i % 256 === 7 ? 50 : 1));
  const back = travelled("int8", values);
  let worst = 0;
  for (let start = 0; start < values.length; start += 256) {
    const block = values.subarray(start, start + 256);
    const largest = Math.max(...block.map(Math.abs));
    block.forEach((value, i) => {
      const moved = Math.abs(back[start + i]! - value) / (largest / 127);
      worst = Math.max(worst, moved);
      if (Math.abs(value) === largest) assert.ok(moved < 1e-4, `${value} at ${start + i}`);
    });
  }
  assert.ok(worst > 0.49 && worst < 0.50002, `${worst} steps`);
});

Deno.test("int8 rounds to nearest and halfway up, in -127 to 127", () => {
  const values = Float32Array.of(127, -127, 0.5, -0.5, 1.5, -1.5, 0.499, -0.501, 126.5, -126.5, -0);
  const steps = new Int8Array(encoded("int8", values).buffer, 0, values.length);
  assert.deepEqual([...steps], [127, -127, 1, 0, 2, -1, 0, -1, 127, -126, 0]);
});

Deno.test("int8 takes the largest floats without making them infinite", () => {
  for (let places = 0; places < 300; places++) {
    const value = fround(MAX_FLOAT32 - places * 2 ** 104);
    const back = travelled("int8", Float32Array.of(value, -value, 0, value / 2));
    assert.ok(back.every(Number.isFinite), `${value}`);
    assert.ok(Math.abs(back[0]! / value - 1) < 1e-6 && back[1] === -back[0]!, `${back}`);
  }
});

Deno.test("an int8 block of which even the largest value is tiny becomes zeros; its neighbours do not", () => {
  const tiny = 127 * SMALLEST_NORMAL;
  const below = fround(tiny * (1 - 2 ** -24));
  for (const value of [2 ** -149, SMALLEST_NORMAL, below]) {
    const values = new Float32Array(3 * 256).fill(1);
    values.fill(-value, 256, 512);
    const bytes = encoded("int8", values);
    assert.ok(bytes.subarray(260, 520).every((byte) => byte === 0), `${value}`);
    const back = decoded("int8", bytes, values.length);
    const expected = values.map((one) => one === 1 ? fround(127 * fround(1 / 127)) : 0);
    assert.deepEqual(back, expected);
  }
  assert.deepEqual([...travelled("int8", Float32Array.of(tiny, -tiny))], [tiny, -tiny]);
});

Deno.test("int8 reads any bytes: -128, a scale that is no number", () => {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt8(0, -128);
  view.setInt8(1, 3);
  view.setFloat32(4, 0.5, true);
  assert.deepEqual([...decoded("int8", bytes, 2)], [-64, 1.5]);
  view.setFloat32(4, NaN, true);
  assert.ok(decoded("int8", bytes, 2).every(Number.isNaN));
});
