import assert from "node:assert/strict";
import { noiseLoss } from "../../../coordinator/training/noise_loss.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

Deno.test("noiseLoss() is the mean of squares, and its gradient twice the difference over the count", () => {
  const { loss, gradNoise } = noiseLoss(f32([1, 4], [1, 2, 3, 4]), f32([1, 4], [1, 0, 6, 4]));
  assert.equal(loss, (0 + 4 + 9 + 0) / 4);
  assert.deepEqual([...gradNoise.data], [0, 1, -1.5, 0]);
  assert.throws(() => noiseLoss(f32([1, 4]), f32([2, 2])), {
    name: "ShapeError",
    message: "target must be float32 [1, 4]: current value is float32 [2, 2]",
  });
});
