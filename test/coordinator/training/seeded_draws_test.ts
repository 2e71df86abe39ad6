import assert from "node:assert/strict";
import {
  SeededDraws,
  seededNoise,
  seededOrder,
} from "../../../coordinator/training/seeded_draws.ts";

Deno.test("draws follow from seed and purpose alone", () => {
  const uniform = (seed: bigint, purpose: (string | number)[]) =>
    new SeededDraws(seed, purpose).uniform();
  assert.equal(uniform(1n, ["timestep", 3]), uniform(1n, ["timestep", 3]));
  const others = [
    uniform(2n, ["timestep", 3]),
    uniform(1n, ["timestep", 4]),
    uniform(1n, ["x", 3]),
  ];
  assert.ok(!others.includes(uniform(1n, ["timestep", 3])));
  assert.deepEqual(seededNoise(1n, ["noise"], [20]), seededNoise(1n, ["noise"], [20]));
  assert.notDeepEqual(seededNoise(1n, ["noise"], [20]), seededNoise(1n, ["noise", 1], [20]));
});

Deno.test("below() reaches every number about equally often", () => {
  const draws = new SeededDraws(0n, ["count"]);
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 5000; i++) counts[draws.below(5)]!++;
  // Five standard deviations (28) around 1000.
  assert.ok(counts.every((count) => Math.abs(count - 1000) < 141), `${counts}`);
});

Deno.test("seededOrder() is a permutation, another one for each purpose", () => {
  const order = seededOrder(5n, ["order", 0], 50);
  assert.deepEqual(order.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
  assert.notDeepEqual(order, seededOrder(5n, ["order", 1], 50));
  // A shuffle fixes one place on average; a sorted list would fix 50.
  assert.ok(order.filter((value, i) => value === i).length < 6);
});
