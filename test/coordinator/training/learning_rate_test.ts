import assert from "node:assert/strict";
import { cooldownSpan, learningRateAt } from "../../../coordinator/training/learning_rate.ts";

Deno.test("learningRateAt() is constant, then falls in equal parts and never to 0", () => {
  const schedule = { learningRate: 4, steps: 5, cooldown: 3 };
  assert.deepEqual([1, 2, 3, 4, 5].map((step) => learningRateAt(step, schedule)), [4, 4, 3, 2, 1]);
  const constant = { ...schedule, cooldown: 0 };
  assert.deepEqual([1, 5].map((step) => learningRateAt(step, constant)), [4, 4]);
});

Deno.test("cooldownSpan() tells after which update the rate falls", () => {
  assert.deepEqual(cooldownSpan({ steps: 10, cooldown: 4 }), { from: 6, to: 10 });
  assert.deepEqual(cooldownSpan({ steps: 10, cooldown: 40 }), { from: 0, to: 10 });
  assert.equal(cooldownSpan({ steps: 10, cooldown: 0 }), undefined);
});
