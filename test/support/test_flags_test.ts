import assert from "node:assert/strict";
import { parseTestFlags } from "./test_flags.ts";

Deno.test("parseTestFlags() takes its own flags out of those of deno test", () => {
  const cases: readonly (readonly [string, boolean, number, string])[] = [
    ["", false, 0, ""],
    ["--repeat-failed", true, 0, ""],
    ["--beside 2", false, 2, ""],
    ["test/a_test.ts --beside 16 --filter b", false, 16, "test/a_test.ts --filter b"],
    ["--beside 1 --repeat-failed", true, 1, ""],
  ];
  for (const [given, isRepeated, beside, args] of cases) {
    const words = (text: string) => text.split(" ").filter(Boolean);
    assert.deepEqual(parseTestFlags(words(given)), { isRepeated, beside, args: words(args) });
  }
});

Deno.test("parseTestFlags() refuses what is no number of threads", () => {
  for (
    const given of [["--beside"], ["--beside", "test/"], ["--beside", "0"], ["--beside", "-1"]]
  ) {
    assert.throws(() => parseTestFlags(given), RangeError);
  }
});
