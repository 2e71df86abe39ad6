import assert from "node:assert/strict";
import { timestepEmbedding } from "../../../shared/models/unet/time_embedding.ts";

const SD15 = { flipSinToCos: true, freqShift: 0 };

Deno.test("timestepEmbedding() is [cos, sin] of t 10000^(-k / half)", () => {
  const { shape, data } = timestepEmbedding([981, 0.5], 320, SD15);
  assert.deepEqual(shape, [2, 320]);
  for (const [row, t] of [981, 0.5].entries()) {
    for (const k of [0, 1, 80, 159]) {
      const angle = t * 10000 ** (-k / 160);
      assert.ok(Math.abs(data[row * 320 + k]! - Math.cos(angle)) < 1e-6);
      assert.ok(Math.abs(data[row * 320 + 160 + k]! - Math.sin(angle)) < 1e-6);
    }
  }
});

Deno.test("timestepEmbedding() puts sines first without flipSinToCos, and shifts frequencies", () => {
  const flipped = timestepEmbedding([7], 8, SD15).data;
  const plain = timestepEmbedding([7], 8, { flipSinToCos: false, freqShift: 0 }).data;
  assert.deepEqual([...plain], [...flipped.subarray(4), ...flipped.subarray(0, 4)]);
  const shifted = timestepEmbedding([7], 8, { flipSinToCos: true, freqShift: 1 }).data;
  assert.ok(Math.abs(shifted[3]! - Math.cos(7 / 10000)) < 1e-6, "the last frequency is 1 / 10000");
  assert.notEqual(shifted[3], flipped[3]);
});
