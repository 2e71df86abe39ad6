import assert from "node:assert/strict";
import { assertGrowsLinearly } from "./growth.ts";

/** As many steps as that. */
function count(steps: number): number {
  let sum = 0;
  for (let i = 0; i < steps; i++) sum = (sum * 31 + i) % 65_521;
  return sum;
}

Deno.test("assertGrowsLinearly() tells linear from quadratic work, be it quick or slow", () => {
  for (const steps of [10, 2_000]) {
    assertGrowsLinearly((length) => void count(steps * length), { length: 100 });
  }
  assert.throws(
    () => assertGrowsLinearly((n) => void count(n * n), { length: 300, name: "squares" }),
    /squares: 8 times the input takes \d+/,
  );
});
