import assert from "node:assert/strict";
import {
  fusionMask,
  magicFusion,
  saliency,
  saliencyWeights,
} from "../../../../coordinator/sampling/methods/magic_fusion.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";

const SHAPE = [2, 4, 6, 5];
const prediction = (seed: number) => ({
  conditional: randomTensor(SHAPE, seed),
  unconditional: randomTensor(SHAPE, seed + 100),
});
const OPTIONS = { unconditional: "own", general: 0, sharpness: [1, 1] } as const;

Deno.test("saliency() of a guidance that is the same everywhere is flat inside, less at the zero border", () => {
  const ones = f32([1, 1, 8, 8], new Array(64).fill(1)), zeros = f32([1, 1, 8, 8]);
  const { shape, data } = saliency(ones, zeros, 3);
  assert.deepEqual(shape, [1, 8, 8]);
  assert.ok(Math.abs(data[3 * 8 + 3]! - 3) < 1e-6, `inside it is |3 (1 - 0)|: ${data[3 * 8 + 3]}`);
  assert.ok(data[0]! < data[3 * 8 + 3]!);
  assert.ok(bitEqual(saliency(ones, zeros, -3).data, data), "its sign does not count");
});

Deno.test("weights of each image sum to 1 over its pixels; sharpness turns them", () => {
  const predictions = [prediction(1), prediction(2)];
  const weights = saliencyWeights(predictions, 7.5, OPTIONS);
  for (const { data } of weights) {
    for (const image of [0, 1]) {
      const sum = data.slice(image * 30, (image + 1) * 30).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum - 1) < 1e-6, `${sum}`);
    }
  }
  const [flat] = saliencyWeights(predictions, 7.5, { ...OPTIONS, sharpness: [0, 1] });
  assert.ok(flat!.data.every((weight) => Math.abs(weight - 1 / 30) < 1e-7));
  const [, general] = saliencyWeights(predictions, 7.5, { ...OPTIONS, unconditional: "general" });
  assert.ok(!bitEqual(general!.data, weights[1]!.data));
});

Deno.test("every pixel is wholly one expert's, in all channels and both halves", () => {
  const predictions = [prediction(1), prediction(2)];
  const mask = fusionMask(saliencyWeights(predictions, 7.5, OPTIONS));
  assert.ok(mask.includes(0) && mask.includes(1), "both are chosen somewhere");
  const fused = magicFusion(predictions, 7.5, OPTIONS);
  for (const half of ["conditional", "unconditional"] as const) {
    fused[half].data.forEach((value, i) => {
      const image = Math.floor(i / 120), pixel = i % 30;
      assert.equal(value, predictions[mask[image * 30 + pixel]!]![half].data[i]);
    });
  }
});
