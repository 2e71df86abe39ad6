import assert from "node:assert/strict";
import { awayFrom } from "../../../../coordinator/sampling/methods/autoguidance.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";

Deno.test("awayFrom() goes on from the weak prediction through the strong one", () => {
  const [strong, weak] = [f32([2], [1, 2]), f32([2], [0.5, 4])];
  assert.deepEqual([...awayFrom(strong, weak, 0).data], [1, 2]);
  assert.deepEqual([...awayFrom(strong, weak, 1).data], [1.5, 0]);
});
