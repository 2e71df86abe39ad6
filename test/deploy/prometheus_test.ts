import assert from "node:assert/strict";
import { join } from "node:path";
import { CoordinatorMetrics } from "../../coordinator/metrics/coordinator_metrics.ts";
import { AffineExpert } from "../support/affine_expert.ts";
import { providePromtool } from "../support/promtool.ts";
import { run } from "../support/run_program.ts";
import { startWorkerServer } from "../../worker/rpc/server.ts";
import { DEPLOY } from "./deploy_files.ts";

const promtool = await providePromtool();
const skip = "reason" in promtool ? ` (skipped: ${promtool.reason})` : "";
const folder = join(DEPLOY, "prometheus");

for (
  const [what, args] of [
    ["the configuration", ["check", "config", "prometheus.yml"]],
    ["the rules", ["check", "rules", "tutti.rules.yml"]],
    ["the rules' own tests", ["test", "rules", "tutti.rules.test.yml"]],
  ] as const
) {
  Deno.test({
    name: `deploy/prometheus: promtool finds ${what} right${skip}`,
    ignore: "reason" in promtool,
    fn: async () => {
      const last = join(folder, args[2]);
      await run((promtool as { path: string }).path, [args[0], args[1], last]);
    },
  });
}

/** Names of metrics in an expression; of a histogram, the one that its parts belong to. */
function metricsIn(text: string): string[] {
  const names = text.match(/\b(tutti|process)_[a-z_]+/g) ?? [];
  return names.map((name) => name.replace(/_(bucket|sum|count)$/, ""));
}

Deno.test("deploy: rules and dashboard ask only for metrics that workers and coordinators export", async () => {
  await using worker = await startWorkerServer({
    expert: new AffineExpert(),
    listen: "127.0.0.1:0",
    http: "127.0.0.1:0",
  });
  await worker.ready;
  const page = await (await fetch(`http://${worker.httpAddress}/metrics`)).text() +
    await new CoordinatorMetrics().text();
  const exported = new Set([...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const dashboard = JSON.parse(await Deno.readTextFile(join(DEPLOY, "grafana", "tutti.json"))) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  assert.ok(queries.length >= 12);
  for (const query of queries) assert.ok(metricsIn(query).length > 0, `no metric in ${query}`);
  const rules = await Deno.readTextFile(join(folder, "tutti.rules.yml"));
  const asked = new Set([...queries, rules].flatMap(metricsIn));
  assert.deepEqual([...asked].filter((name) => !exported.has(name)), []);
});
