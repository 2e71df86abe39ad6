import assert from "node:assert/strict";
import { compare, judge, skipped, worst } from "../../../coordinator/verify/check.ts";
import { FormatError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const expected = f32([2, 2], [3, 0, 0, 4]);

Deno.test("compare() measures relative L2 and the largest difference", () => {
  const { tensor, relativeL2, maxAbs } = compare("eps", f32([2, 2], [3, 0, 0.5, 4]), expected);
  assert.deepEqual([tensor, relativeL2, maxAbs], ["eps", 0.1, 0.5]);
  assert.deepEqual(compare("eps", expected, expected), { tensor: "eps", relativeL2: 0, maxAbs: 0 });
});

Deno.test("compare() takes another shape, and NaN, for infinitely different", () => {
  assert.equal(compare("eps", f32([4], [3, 0, 0, 4]), expected).relativeL2, Infinity);
  assert.equal(compare("eps", f32([2, 2], [3, NaN, 0, 4]), expected).relativeL2, Infinity);
  assert.equal(compare("eps", expected, f32([2, 2], [3, NaN, 0, 4])).relativeL2, Infinity);
});

Deno.test("compare() refuses a tensor that was not computed", () => {
  assert.throws(
    () => compare("block.IN77", undefined, expected),
    new FormatError('This check computes no tensor "block.IN77"'),
  );
});

Deno.test("judge() lets the worst comparison decide, and passes a difference of exactly the tolerance", () => {
  const good = { tensor: "a", relativeL2: 1e-4, maxAbs: 9 };
  const bad = { tensor: "b", relativeL2: 1.1e-4, maxAbs: 1 };
  assert.equal(judge("unet", [good], 1e-4).verdict, "ok");
  assert.equal(judge("unet", [good, bad, good], 1e-4).verdict, "failed");
  assert.equal(worst([good, bad, good]), bad);
  assert.equal(worst([]), undefined);
  assert.equal(judge("unet", [{ ...good, relativeL2: Infinity }], 1e-4).verdict, "failed");
});

Deno.test("judge() fails a check that compared nothing", () => {
  const { verdict, reason } = judge("unet", [], 1);
  assert.deepEqual([verdict, reason], ["failed", "nothing was compared"]);
});

Deno.test("skipped() gives the reason", () => {
  assert.deepEqual(skipped("pndm", "not built yet"), {
    name: "pndm",
    verdict: "skipped",
    reason: "not built yet",
    comparisons: [],
  });
});
