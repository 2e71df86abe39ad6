import assert from "node:assert/strict";
import { join } from "node:path";
import { batches, findTestFiles } from "./test_batches.ts";

const ROOT = join(import.meta.dirname!, "../..");

Deno.test("batches() takes every test file of the project once", async () => {
  const files = await findTestFiles(ROOT);
  assert.ok(files.includes("test/support/test_batches_test.ts"));
  assert.ok(files.length > 300);
  assert.deepEqual(batches(files).flat().sort(), files.toSorted());
});

Deno.test("batches() begins with files that take long, each alone", () => {
  const quick = Array.from({ length: 21 }, (_, i) => `test/shared/a${i}_test.ts`);
  const found = batches([...quick, "test/cluster/up_test.ts", "test/bench/network_bench_test.ts"]);
  assert.deepEqual(found.slice(0, 2), [
    ["test/bench/network_bench_test.ts"],
    ["test/cluster/up_test.ts"],
  ]);
  assert.deepEqual(found.slice(2).map(({ length }) => length), [10, 10, 1]);
});
