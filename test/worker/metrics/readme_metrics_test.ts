import assert from "node:assert/strict";
import { WorkerMetrics } from "../../../worker/metrics/worker_metrics.ts";

Deno.test("README lists every metric of a worker in the registry's own words", async () => {
  const { registry } = new WorkerMetrics({
    status: () => assert.fail("names need no status"),
    description: () => undefined,
  });
  const expected = (await registry.getMetricsAsJSON()).map(({ name, help }) => [name, help]);
  const readme = await Deno.readTextFile(new URL("../../../README.md", import.meta.url));
  const [, section = ""] = /<!-- metrics -->([^]*)<!-- \/metrics -->/.exec(readme) ?? [];
  const listed = [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|$/gm)]
    .map(([, name, help]) => [name, help]);
  assert.deepEqual(listed, expected);
});
