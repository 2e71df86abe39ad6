import assert from "node:assert/strict";
import { join } from "node:path";
import type { Backlog } from "../../../coordinator/jobs/queue/job_queue.ts";
import { CoordinatorMetrics } from "../../../coordinator/metrics/coordinator_metrics.ts";
import { watchCoordinator } from "../../../coordinator/metrics/watch_coordinator.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { DOCS } from "../../../shared/project_files.ts";
import { checkMetrics, providePromtool } from "../../support/promtool.ts";
import { readSamples } from "../../support/read_samples.ts";

const TIMING = {
  queueMs: 10,
  loadMs: 0,
  computeMs: 100,
  plane: "tcp",
  sentBytes: 7,
  receivedBytes: 9,
};

Deno.test("coordinator: metrics tell of jobs, segments and replicas", async (t) => {
  const metrics = new CoordinatorMetrics();
  metrics.setExperts(["round", "square"]);
  const error = new TuttiError("RESOURCE_EXHAUSTED", "full");
  const draining = new AbortController();
  const facts = { coordinator: "one", ensemble: "shapes", jobs: 2 };
  const watched = watchCoordinator(facts, metrics, draining.signal);
  assert.equal(watched.notReady()?.state, "waiting");
  metrics.job({ event: "ready" });
  assert.equal(watched.notReady(), undefined);
  metrics.job({ event: "started", job: "a", stepsDone: 0 });
  metrics.job({ event: "started", job: "b", stepsDone: 3 });
  assert.deepEqual(watched.status(), { ...facts, state: "serving", running: ["a", "b"] });
  metrics.job({ event: "returned", job: "a", error });
  metrics.job({ event: "warning", job: "b", text: "late" });
  metrics.segment({
    experts: [{ ...TIMING, roundTripMs: 150 }, { ...TIMING, roundTripMs: 105, plane: "shm" }],
    aggregateMs: 20,
  });
  const lost = { expert: "round", worker: "a:1", reason: "silent" } as const;
  metrics.replica({ ...lost, kind: "lost", message: "no answer", detectMs: 1500 });
  metrics.replica({
    ...{ ...lost, kind: "failover", worker: "b:1", from: "a:1", detectMs: 1500 },
    ...{ replayMs: 400, restored: 3, repeated: 1 },
  });
  draining.abort();
  assert.equal(watched.notReady()?.state, "draining");

  const text = await metrics.text();
  const sum = (name: string, labels: Record<string, string> = {}) =>
    Number(readSamples(text).sum(`tutti_coordinator_${name}`, labels).toFixed(9));
  assert.equal(sum("jobs_total", { event: "started", code: "" }), 2);
  assert.equal(sum("jobs_total", { event: "returned", code: "resource_exhausted" }), 1);
  assert.equal(sum("jobs_running"), 1);
  assert.equal(sum("ready"), 1);
  assert.equal(sum("round_trip_seconds_sum", { expert: "round", plane: "tcp" }), 0.15);
  assert.equal(sum("segment_seconds_total", { expert: "round", phase: "wire" }), 0.04);
  // The worker's clock said more than this one.
  assert.equal(sum("segment_seconds_total", { expert: "square", phase: "wire" }), 0);
  assert.equal(sum("segment_seconds_total", { phase: "compute" }), 0.2);
  assert.equal(sum("aggregation_seconds_sum"), 0.02);
  assert.equal(sum("wire_bytes_total", { direction: "in" }), 18);
  assert.equal(
    sum("replica_events_total", { expert: "round", event: "lost", reason: "silent" }),
    1,
  );
  assert.equal(sum("loss_detection_seconds_sum", { reason: "silent" }), 1.5);
  assert.equal(sum("replay_seconds_sum"), 0.4);

  const promtool = await providePromtool();
  await t.step({
    name: "promtool check metrics" + ("reason" in promtool ? `: ${promtool.reason}` : ""),
    ignore: "reason" in promtool,
    fn: async () => {
      if ("path" in promtool) assert.equal(await checkMetrics(promtool.path, text), "");
    },
  });
});

Deno.test("coordinator: figures of the queue are asked for at each look, and left out where there are none", async () => {
  const metrics = new CoordinatorMetrics();
  let backlog: Backlog | undefined = { waiting: 3, taken: 1, oldestWaitingSeconds: 7 };
  metrics.setBacklog(() => backlog ? Promise.resolve(backlog) : Promise.reject(new Error("away")));
  const samples = async () => (await metrics.text()).match(/^tutti_queue_.*$/gm);
  assert.deepEqual(await samples(), [
    'tutti_queue_jobs{state="waiting"} 3',
    'tutti_queue_jobs{state="taken"} 1',
    "tutti_queue_oldest_waiting_seconds 7",
  ]);
  backlog = undefined;
  assert.equal(await samples(), null);
});

Deno.test("docs/metrics.md lists every metric of a coordinator in the registry's own words", async () => {
  const { registry } = new CoordinatorMetrics();
  const expected = (await registry.getMetricsAsJSON())
    .filter(({ name }) => /^tutti_(coordinator|queue)_/.test(name))
    .map(({ name, help }) => [name, help]);
  assert.ok(expected.length >= 10);
  const page = await Deno.readTextFile(join(DOCS, "metrics.md"));
  const [, section = ""] =
    /<!-- metrics:coordinator -->([^]*)<!-- \/metrics:coordinator -->/.exec(page) ?? [];
  const listed = [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|$/gm)]
    .map(([, name, help]) => [name, help]);
  assert.deepEqual(listed, expected);
});
