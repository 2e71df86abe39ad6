import assert from "node:assert/strict";
import { emphasize } from "../../../shared/prompt/emphasis.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, sliceRows } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";

const meanOf = (data: Float32Array) => data.reduce((sum, x) => sum + x, 0) / data.length;

Deno.test("emphasize() multiplies each token's state and keeps the chunk's mean", () => {
  // Means by hand: (1 + 3 + 2 + 6) / 4 = 3; weighted [1, 3, 4, 12], mean 5; scaled by 3 / 5.
  const states = f32([1, 2, 2], [1, 3, 2, 6]);
  const { shape, data } = emphasize(states, [[1, 2]]);
  assert.deepEqual(shape, [1, 2, 2]);
  assert.deepEqual([...data], [0.6, 1.8, 2.4, 7.2].map(Math.fround));
  assert.deepEqual([...states.data], [1, 3, 2, 6], "the input stays as it was");
});

Deno.test("emphasize() keeps every chunk's mean by itself, and directions within a token", () => {
  const states = randomTensor([3, 5, 7], 4);
  const weights = [[1, 1.3, 0.5, 1, 1], [1, 1, 1, 1, 1], [1, 1, -0.7, 2, 1]];
  const weighted = emphasize(states, weights);
  for (const [k, row] of weights.entries()) {
    const before = sliceRows(states, k, k + 1).data, after = sliceRows(weighted, k, k + 1).data;
    assert.ok(Math.abs(meanOf(before) - meanOf(after)) < 1e-6);
    const factor = after[0]! / before[0]!;
    for (let i = 0; i < before.length; i++) {
      const expected = before[i]! * row[Math.floor(i / 7)]! * factor;
      assert.ok(Math.abs(after[i]! - expected) < 1e-5, `${k}, ${i}`);
    }
  }
  assert.ok(bitEqual(sliceRows(weighted, 1, 2).data, sliceRows(states, 1, 2).data));
});

Deno.test("emphasize() gives a prompt without weights its own bits", () => {
  const states = randomTensor([2, 4, 3], 9);
  assert.equal(emphasize(states, [[1, 1, 1, 1], [1, 1, 1, 1]]), states);
});

Deno.test("emphasize() leaves a weighted mean of 0 unscaled", () => {
  const { data } = emphasize(f32([1, 2, 1], [1, 1]), [[1, -1]]);
  assert.deepEqual([...data], [1, -1]);
});

Deno.test("emphasize() refuses weights that are too few or too many", () => {
  const states = f32([2, 3, 4]);
  for (const weights of [[[1, 1, 1]], [[1, 1, 1], [1, 1]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]]) {
    assert.throws(() => emphasize(states, weights), {
      name: "ShapeError",
      message: /^Text states \[2,3,4\] need 2 times 3 weights: current counts are \[/,
    });
  }
});
