import assert from "node:assert/strict";
import { judge } from "../../../coordinator/verify/check.ts";
import { EvalFolder } from "../../../coordinator/verify/eval/eval_folder.ts";
import { toleranceOf } from "../../../coordinator/verify/eval/measure.ts";
import { mergingCheck } from "../../../coordinator/verify/eval/merging_checks.ts";
import { goldenPath } from "../../support/goldens.ts";

const folder = await EvalFolder.open(goldenPath("eval"));

/** Need not exist, and do not. */
const NOT_BUILT = ["merging.smooth_add"];

for (const check of folder.checks.filter(({ part }) => part === "merging")) {
  Deno.test(`${check.name} is what the reference computes`, async () => {
    const result = await mergingCheck(folder, check);
    if ("skipped" in result) {
      assert.ok(check.optional && NOT_BUILT.includes(check.name), result.skipped);
      return;
    }
    const { verdict, comparisons } = judge(check.name, result, toleranceOf(check));
    assert.equal(verdict, "ok", JSON.stringify(comparisons.filter((c) => c.relativeL2 > 0)));
    // Stricter than the check: every merge has the reference's bits.
    if (check.expect.sha256 !== undefined) {
      assert.ok(comparisons.some(({ tensor }) => tensor === "sha256"), "another hash");
    }
  });
}
