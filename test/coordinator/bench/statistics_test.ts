import assert from "node:assert/strict";
import { median, medianSlope, spread } from "../../../coordinator/bench/statistics.ts";

Deno.test("median() of odd and even numbers of runs, in any order", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([9, 1, 5, 6]), 5.5);
  assert.equal(median([10, 9]), 9.5);
  assert.equal(median([7]), 7);
});

Deno.test("spread() gives NumPy's quartiles and leaves the runs as they were", () => {
  const runs = [20, 1, 3, 10, 2];
  assert.deepEqual(spread(runs), {
    ...{ runs: 5, min: 1, lowerQuartile: 2, upperQuartile: 10, max: 20 },
  });
  assert.deepEqual(runs, [20, 1, 3, 10, 2]);
  // numpy.percentile([1, 2, 3, 10], [25, 75]) = [1.75, 4.75]
  const { lowerQuartile, upperQuartile } = spread([1, 2, 3, 10]);
  assert.deepEqual([lowerQuartile, upperQuartile], [1.75, 4.75]);
});

Deno.test("nothing, and what is no number, has no median", () => {
  assert.throws(() => median([]), /finite numbers: current value is none/);
  assert.throws(() => spread([1, NaN]), /finite numbers: current value is NaN/);
});

Deno.test("medianSlope() is the slope of a line, whatever one point does", () => {
  const line = [0, 10, 25, 40, 50].map((x): [number, number] => [x, 7 - 0.5 * x]);
  assert.equal(medianSlope(line), -0.5);
  assert.equal(medianSlope([...line.slice(0, 2), [25, 1000], ...line.slice(3)]), -0.5);
  assert.equal(medianSlope([[3, 1], [5, 4]]), 1.5);
});

Deno.test("medianSlope() of one point is none", () => {
  assert.throws(() => medianSlope([[1, 1]]), { code: "INVALID_ARGUMENT" });
});
