import assert from "node:assert/strict";
import { defineBench } from "../../../../coordinator/cli/bench/bench_entry.ts";

Deno.test("a benchmark whose figures say that something is wrong fails", async () => {
  const bench = (failure?: string) =>
    defineBench({
      ...{ name: "x", summary: "x", description: "x", notes: "x", toy: [] },
      full: { args: [], minutes: 1 },
      options: (command) => command,
      run: () => Promise.resolve({ figures: [], ...(failure !== undefined && { failure }) }),
    }).command().parseAsync(["--json"], { from: "user" });
  await assert.rejects(bench("it leaks"), { code: "FAILED_PRECONDITION", message: "it leaks" });
  await bench();
});
