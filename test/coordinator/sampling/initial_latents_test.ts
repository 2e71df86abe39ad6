import assert from "node:assert/strict";
import { initialLatents } from "../../../coordinator/sampling/initial_latents.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { sliceRows } from "../../../shared/tensor/tensor.ts";

Deno.test("initialLatents(): an image's noise depends on its own seed, not on its place in the batch", () => {
  const shape = [4, 8, 6];
  const batch = initialLatents([1n, 7n, 1n], shape);
  assert.deepEqual(batch.shape, [3, 4, 8, 6]);
  const alone = initialLatents([7n], shape);
  assert.ok(bitEqual(sliceRows(batch, 1, 2).data, alone.data));
  assert.ok(bitEqual(sliceRows(batch, 0, 1).data, sliceRows(batch, 2, 3).data));
  assert.ok(!bitEqual(sliceRows(batch, 0, 1).data, alone.data));
  const variance = batch.data.reduce((sum, v) => sum + v * v, 0) / batch.data.length;
  assert.ok(variance > 0.8 && variance < 1.2, `unit variance: ${variance}`);
});
