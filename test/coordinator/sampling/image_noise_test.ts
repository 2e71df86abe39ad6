import assert from "node:assert/strict";
import { ImageNoise, initialLatents } from "../../../coordinator/sampling/image_noise.ts";
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

const evaluation = (noiseCount: number) => ({ timestep: 1, sigma: 1, stepIndex: 0, noiseCount });

Deno.test("ImageNoise: later draws are new, belong to their image, and can be skipped", () => {
  const shape = [4, 4, 4];
  const both = new ImageNoise([3n, 9n], shape);
  const [first, second, third] = [both.next(), both.next(), both.next()];
  assert.ok(!bitEqual(first!.data, second!.data));
  const alone = new ImageNoise([9n], shape);
  alone.next();
  alone.skip([evaluation(0), evaluation(1)]);
  const [drawn, ...none] = alone.take(evaluation(1));
  assert.deepEqual(none, []);
  assert.ok(bitEqual(drawn!.data, sliceRows(third!, 1, 2).data), "the same image in a batch");
  assert.ok(bitEqual(initialLatents([3n, 9n], shape).data, first!.data));
});
