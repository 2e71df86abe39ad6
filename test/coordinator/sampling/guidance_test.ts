import assert from "node:assert/strict";
import {
  classifierFreeGuidance,
  duplicateForGuidance,
  guidanceRows,
  rescaleGuidance,
  splitGuidance,
  usesGuidance,
} from "../../../coordinator/sampling/guidance.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

Deno.test("guidance: uncond + g (text - uncond), the first half of the batch being the unconditional", () => {
  const noise = splitGuidance(f32([4, 1], [1, 2, 3, 6]), 7.5);
  assert.deepEqual(classifierFreeGuidance(noise, 7.5), f32([2, 1], [16, 32]));
  assert.deepEqual(classifierFreeGuidance(noise, 0), f32([2, 1], [1, 2]));
  assert.deepEqual(classifierFreeGuidance(noise, -1), f32([2, 1], [-1, -2]));
});

Deno.test("guidance of 1 needs no unconditional half: nothing is doubled, nothing is mixed", () => {
  const noise = f32([2, 1], [3, 6]);
  assert.equal(usesGuidance(1), false);
  assert.equal(duplicateForGuidance(noise, 1), noise);
  assert.equal(classifierFreeGuidance(splitGuidance(noise, 1), 1), noise);
});

Deno.test("guidanceRows() says which half a row of the batch belongs to", () => {
  assert.deepEqual(guidanceRows(2, 5), [
    "unconditional",
    "unconditional",
    "conditional",
    "conditional",
  ]);
  assert.deepEqual(guidanceRows(2, 1), ["conditional", "conditional"]);
});

Deno.test("duplicateForGuidance() gives both halves the same latents", () => {
  assert.deepEqual(
    duplicateForGuidance(f32([2, 2], [1, 2, 3, 4]), 5),
    f32([4, 2], [1, 2, 3, 4, 1, 2, 3, 4]),
  );
});

Deno.test("rescaleGuidance() gives each image a share of its conditional half's deviation", () => {
  const conditional = f32([2, 1, 1, 3], [1, 2, 3, 0, 10, 20]);
  const guided = f32([2, 1, 1, 3], [2, 6, 10, 0, 20, 40]);
  assert.equal(rescaleGuidance(guided, conditional, 0), guided);
  assert.deepEqual(
    rescaleGuidance(guided, conditional, 1),
    f32([2, 1, 1, 3], [0.5, 1.5, 2.5, 0, 10, 20]),
  );
  assert.deepEqual(
    rescaleGuidance(guided, conditional, 0.5),
    f32([2, 1, 1, 3], [1.25, 3.75, 6.25, 0, 15, 30]),
  );
});
