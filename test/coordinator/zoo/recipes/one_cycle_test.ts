import assert from "node:assert/strict";
import { oneCycle } from "../../../../coordinator/zoo/recipes/one_cycle.ts";

const isNear = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 1e-12 * expected, `${actual} is not ${expected}`);

Deno.test("oneCycle() has torch's ends, top and middles", () => {
  // Of 100 updates the 30th is the highest: 0.3 * 100 - 1, counted from 0.
  isNear(oneCycle(1, 100, 1.5e-3), 1.5e-3 / 25);
  isNear(oneCycle(30, 100, 1.5e-3), 1.5e-3);
  isNear(oneCycle(100, 100, 1.5e-3), 1.5e-3 / 25 / 1e4);
  // Half way down a cosine is the mean of its ends.
  isNear(oneCycle(65, 100, 1.5e-3), (1.5e-3 + 1.5e-3 / 25 / 1e4) / 2);
});

Deno.test("oneCycle() of a few updates stays between its ends", () => {
  for (const updates of [1, 2, 3, 5]) {
    for (let update = 1; update <= updates; update++) {
      const rate = oneCycle(update, updates, 1);
      assert.ok(rate > 0 && rate <= 1, `${rate} at ${update} of ${updates}`);
    }
  }
});
