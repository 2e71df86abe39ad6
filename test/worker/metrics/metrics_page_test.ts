import assert from "node:assert/strict";
import { join } from "node:path";
import { DOCS } from "../../../shared/project_files.ts";
import { WorkerMetrics } from "../../../worker/metrics/worker_metrics.ts";

Deno.test("docs/metrics.md lists every metric of a worker in the registry's own words", async () => {
  const { registry } = new WorkerMetrics({
    status: () => assert.fail("names need no status"),
    description: () => undefined,
  });
  const expected = (await registry.getMetricsAsJSON()).map(({ name, help }) => [name, help]);
  const page = await Deno.readTextFile(join(DOCS, "metrics.md"));
  const [, section = ""] = /<!-- metrics -->([^]*)<!-- \/metrics -->/.exec(page) ?? [];
  const listed = [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|$/gm)]
    .map(([, name, help]) => [name, help]);
  assert.deepEqual(listed, expected);
});
