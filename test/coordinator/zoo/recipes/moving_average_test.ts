import assert from "node:assert/strict";
import { averageDecay, moveAverage } from "../../../../coordinator/zoo/recipes/moving_average.ts";

Deno.test("averageDecay() rises to the decay that is wanted", () => {
  assert.equal(averageDecay(1, 0.998), 0.1);
  assert.equal(averageDecay(9, 0.998), 0.5);
  assert.equal(averageDecay(10_000, 0.998), 0.998);
});

Deno.test("moveAverage() goes towards the values by the rest of the decay", () => {
  const average = Float32Array.of(1, -2, 8);
  moveAverage(average, Float32Array.of(5, -2, 0), 0.75);
  assert.deepEqual([...average], [2, -2, 6]);
});
