import assert from "node:assert/strict";
import { ShapeError } from "../../../shared/errors.ts";
import { addDims, broadcastShapes, convDim, divDims, mulDims } from "../../../shared/onnx/dim.ts";

Deno.test("mulDims() multiplies numbers and keeps symbols, numbers first", () => {
  assert.equal(mulDims([2, 3, 4]), 24);
  assert.equal(mulDims([]), 1);
  assert.equal(mulDims(["H", "W"]), "H*W");
  assert.equal(mulDims([4, "H", 2, "W"]), "8*H*W");
  assert.equal(mulDims(["2*H", "3*W"]), "6*H*W");
  assert.equal(mulDims([1, "H"]), "H");
});

Deno.test("mulDims() takes a sum in parentheses as one symbol, however deep it is nested", () => {
  assert.equal(mulDims([2, "(H+1)"]), "2*(H+1)");
  assert.equal(mulDims(["(2*H+1)", 3]), "3*(2*H+1)");
  const nested = "(floor((2*(floor((2*H-1)/2)+1)-1)/2)+1)";
  assert.equal(mulDims([nested, 5, "W"]), `5*${nested}*W`);
  assert.equal(divDims(["W", nested], [nested]), "W");
});

Deno.test("divDims() takes known factors out, in any order and from composite symbols", () => {
  assert.equal(divDims([6, 4], [8]), 3);
  assert.equal(divDims(["B", 16, "H", "W"], ["B", 8]), "2*H*W");
  assert.equal(divDims(["2*H", "W"], ["W", 2]), "H");
  assert.equal(divDims(["H", "W"], ["H*W"]), 1);
  assert.equal(divDims(["W", "H"], ["H", "W"]), 1);
  assert.equal(divDims(["H", "H"], ["H"]), "H");
});

Deno.test("divDims() refuses what is no factor", () => {
  for (
    const [dims, known] of [
      [[6], [4]],
      [[6], [0]],
      [["H"], ["W"]],
      [["H"], ["H", "H"]],
      [["H", 3], ["2*H"]],
      [["(H+1)"], ["H"]],
    ] as const
  ) {
    assert.throws(() => divDims(dims, known), ShapeError, `[${dims}] / [${known}]`);
  }
});

Deno.test("addDims() adds numbers and writes sums of symbols", () => {
  assert.equal(addDims(3, 4), 7);
  assert.equal(addDims("H", 4), "(H+4)");
  assert.equal(mulDims([2, addDims("H", "W")]), "2*(H+W)");
});

Deno.test("convDim() is floor((size + pads - kernel) / stride) + 1", () => {
  assert.equal(convDim(64, 3, 1, 1, 1), 64);
  assert.equal(convDim(64, 1, 1, 0, 0), 64);
  assert.equal(convDim(64, 3, 2, 1, 1), 32);
  assert.equal(convDim(5, 3, 2, 1, 1), 3);
  assert.equal(convDim(64, 3, 2, 0, 1), 32);
  assert.equal(convDim(5, 3, 2, 0, 1), 2);
  assert.equal(convDim(5, 3, 1, 0, 0), 3);
  assert.equal(convDim(3, 3, 1, 0, 0), 1);
});

Deno.test("convDim() of a symbol is the symbol where nothing changes, else its formula", () => {
  assert.equal(convDim("H", 3, 1, 1, 1), "H");
  assert.equal(convDim("H", 1, 1, 0, 0), "H");
  assert.equal(convDim("H", 3, 2, 1, 1), "(floor((H-1)/2)+1)");
  assert.equal(convDim("H", 3, 1, 0, 0), "(floor((H-3)/1)+1)");
});

Deno.test("convDim() refuses an image that is smaller than the kernel", () => {
  assert.throws(() => convDim(2, 3, 1, 0, 0), {
    name: "ShapeError",
    message: "Convolution of kernel 3 needs at least 3 pixels: current size is 2",
  });
});

Deno.test("broadcastShapes() follows numpy, for symbols too", () => {
  assert.deepEqual(broadcastShapes("Add", [2, 3], [3]), [2, 3]);
  assert.deepEqual(broadcastShapes("Add", [3, 1], [2, 1, 4]), [2, 3, 4]);
  assert.deepEqual(broadcastShapes("Add", ["B", 8, "H", "W"], [8, 1, 1]), ["B", 8, "H", "W"]);
  assert.deepEqual(broadcastShapes("Add", ["B", 1], [1, "L"]), ["B", "L"]);
  assert.deepEqual(broadcastShapes("Add", [], [5]), [5]);
});

Deno.test("broadcastShapes() refuses sizes that differ, also where one is a symbol", () => {
  for (const [a, b] of [[[2], [3]], [["H"], [3]], [["H"], ["W"]], [["B", 4], [4, 4]]] as const) {
    assert.throws(() => broadcastShapes("Mul", a, b), ShapeError, `[${a}] with [${b}]`);
  }
  assert.throws(() => broadcastShapes("Mul", [1, 2], [1, 3]), /Mul cannot broadcast.*axis 1/);
});
