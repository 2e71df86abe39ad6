import assert from "node:assert/strict";
import { show } from "../../shared/show.ts";

for (
  const [value, expected] of [
    ["a", '"a"'],
    ['a"b\n', '"a\\"b\\n"'],
    [7, "7"],
    [-0, "-0"],
    [2n ** 64n, "18446744073709551616"],
    [null, "null"],
    [undefined, "undefined"],
    [true, "true"],
    [[1, "2", [3], { four: 4 }], '[1, "2", […], an object]'],
    [Array(17).fill(0), `[${Array(16).fill(0).join(", ")}, …]`],
    [{ a: 1 }, "an object"],
  ] as const
) {
  Deno.test(`show() prints ${expected}`, () => {
    assert.equal(show(value), expected);
  });
}

Deno.test("show() cuts long text and says so", () => {
  assert.equal(show("x".repeat(201)), `"${"x".repeat(200)}…"`);
  assert.equal(show("x".repeat(200)), `"${"x".repeat(200)}"`);
});
