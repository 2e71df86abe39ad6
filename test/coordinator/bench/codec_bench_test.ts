import assert from "node:assert/strict";
import { benchCodec, CODEC_SHAPES, codecFigures } from "../../../coordinator/bench/codec_bench.ts";
import { elementCount } from "../../../shared/tensor/tensor.ts";
import { encodedBytes, WIRE_DTYPES } from "../../../shared/wire/codec/wire_dtype.ts";

const SHAPES = [
  { name: "small", shape: [1, 64, 8, 8], reason: "four channels to an int8 block" },
  { name: "larger", shape: [2, 32, 20, 20], reason: "channels that blocks do not divide" },
];

Deno.test("benchCodec() has a row for each shape and dtype, with its bytes, times and error", async () => {
  const phases: string[] = [];
  const rows = await benchCodec({
    shapes: SHAPES,
    rounds: 3,
    onPhase: (phase) => phases.push(phase),
  });
  assert.deepEqual(phases, ["small", "larger"]);
  assert.deepEqual(
    rows.map(({ shape, dtype }) => [shape.name, dtype]),
    SHAPES.flatMap(({ name }) => WIRE_DTYPES.map((dtype) => [name, dtype])),
  );
  for (const { shape, dtype, wireBytes, relativeL2, encodeMs, decodeMs } of rows) {
    assert.equal(wireBytes, encodedBytes(dtype, elementCount(shape.shape)));
    for (const times of [encodeMs, decodeMs]) {
      assert.equal(times.length, 3);
      assert.ok(times.every((ms) => ms > 0));
    }
    const [least, most] =
      { f32: [-1, 0], f16: [1e-4, 3e-4], bf16: [1e-3, 2e-3], int8: [5e-3, 0.02] }[
        dtype
      ];
    assert.ok(relativeL2 > least! && relativeL2 <= most!, `${dtype}: ${relativeL2}`);
  }
});

Deno.test("benchCodec() ends when its signal fires", async () => {
  const abort = new AbortController();
  const running = benchCodec({
    shapes: SHAPES,
    rounds: 1e6,
    signal: abort.signal,
    onPhase: () => abort.abort(),
  });
  await assert.rejects(running, { name: "TuttiError", code: "CANCELLED" });
});

Deno.test("the shapes of benchCodec() have names of their own, and reasons", () => {
  assert.equal(new Set(CODEC_SHAPES.map(({ name }) => name)).size, CODEC_SHAPES.length);
  assert.ok(CODEC_SHAPES.every(({ name, reason }) => /^[A-Z]+\d\d-\d+$/.test(name) && reason));
});

Deno.test("codecFigures() are medians in ms, rates of f32 bytes, wire bytes and the error", () => {
  const [shape] = SHAPES;
  const figures = codecFigures([{
    ...{ shape: shape!, dtype: "f16", wireBytes: 8192, relativeL2: 2e-4 },
    ...{ encodeMs: [3, 2, 1], decodeMs: [4, 4, 4] },
  }]);
  assert.deepEqual(figures.map(({ name, value, unit }) => [name, value, unit]), [
    ["codec.f16.encode.small", 2, "ms"],
    // 16,384 bytes in 2 ms.
    ["codec.f16.encode.small.rate", 8.192, "MB/s"],
    ["codec.f16.decode.small", 4, "ms"],
    ["codec.f16.decode.small.rate", 4.096, "MB/s"],
    ["codec.f16.bytes.small", 8192, "bytes"],
    ["codec.f16.error.small", 2e-4, "ratio"],
  ]);
});
