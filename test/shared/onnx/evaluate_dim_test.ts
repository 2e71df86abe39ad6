import assert from "node:assert/strict";
import { ShapeError } from "../../../shared/errors.ts";
import { addDims, convDim, mulDims } from "../../../shared/onnx/dim.ts";
import { evaluateDim, evaluateShape } from "../../../shared/onnx/evaluate_dim.ts";

const sizes = new Map([["B", 2], ["H", 13], ["W", 8], ["TH", 27]]);

Deno.test("evaluateDim() reads every expression that dim.ts writes", () => {
  assert.equal(evaluateDim(7, new Map()), 7);
  assert.equal(evaluateDim("H", sizes), 13);
  assert.equal(evaluateDim(mulDims([2, "H", "W"]), sizes), 2 * 13 * 8);
  assert.equal(evaluateDim(addDims("H", 5), sizes), 18);
  assert.equal(evaluateDim(mulDims([addDims("H", "W"), 3]), sizes), 63);
  const halved = convDim("H", 3, 2, 1, 1);
  assert.equal(evaluateDim(halved, sizes), 7);
  assert.equal(evaluateDim(convDim(halved, 3, 2, 1, 1), sizes), 4);
  assert.equal(evaluateDim(convDim("W", 3, 2, 0, 1), sizes), 4);
  assert.equal(evaluateDim(mulDims([halved, convDim("W", 3, 2, 1, 1)]), sizes), 28);
});

Deno.test("evaluateDim() multiplies before it adds, and takes equals from left to right", () => {
  assert.equal(evaluateDim("2+3*4-5-1", sizes), 8);
  assert.equal(evaluateDim("48/2/3", sizes), 8);
  assert.equal(evaluateDim("floor((H-2)/2)", sizes), 5);
});

Deno.test("evaluateShape() evaluates axis by axis", () => {
  assert.deepEqual(evaluateShape(["B", 4, "TH", "2*W"], sizes), [2, 4, 27, 16]);
});

Deno.test("evaluateDim() names the symbol that has no size", () => {
  assert.throws(() => evaluateDim("2*L", sizes), {
    name: "ShapeError",
    message: 'Dimension "2*L" needs a size for "L": sizes are given for B, H, W, TH',
  });
});

Deno.test("evaluateDim() refuses what is no expression", () => {
  for (const text of ["", "(H", "H)", "2*", "H W", "floor(H", "ceil(H)", "-H", "H++W"]) {
    assert.throws(() => evaluateDim(text, sizes), ShapeError, text);
  }
});
