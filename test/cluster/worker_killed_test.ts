import assert from "node:assert/strict";
import { PARK_MS } from "../../coordinator/cluster/replicas/replica_settings.ts";
import { listWorkerSessions } from "../../coordinator/cluster/worker_status.ts";
import { BLOCK_ID } from "../../shared/models/blocks.ts";
import { jsonLines, LONG_LIVED_MS, testTutti } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT } from "../support/zoo.ts";

interface WorkerLine {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
}

interface ErrorLine {
  readonly event: string;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

const LONG = ["sample", PROMPT, "--steps", "1000"];

testTutti(
  "a worker killed in the middle of a run ends it with 3, naming worker, block and step",
  async (home) => {
    const workers = await home.json<WorkerLine>(["up"]);
    const { address, pid } = workers[1]!;
    const run = home.start([...LONG, "--park", "0", "--json"], {
      timeoutMs: LONG_LIVED_MS,
    });
    // With --json nothing is printed before the end: the worker tells when it is busy.
    await eventually(async () => {
      const [session] = await listWorkerSessions(address);
      return session !== undefined && session.stepIndex > 0;
    });
    // It says so sooner than it would wait for a worker to come back.
    const start = performance.now();
    Deno.kill(pid, "SIGKILL");
    const { code, stdout } = await run.result;
    assert.ok(performance.now() - start < PARK_MS);
    assert.equal(code, 3, stdout);

    const [error, ...others] = jsonLines<ErrorLine>(stdout);
    assert.deepEqual([error!.event, error!.code, others], ["error", "UNAVAILABLE", []]);
    const { worker, block, stepIndex } = error!.details;
    assert.equal(worker, address);
    assert.match(block!, BLOCK_ID);
    assert.ok(Number(stepIndex) > 0);
    assert.ok(
      error!.message.startsWith(
        `Worker ${address} was lost while computing block "${block}" in step ${stepIndex}`,
      ),
      error!.message,
    );

    const left = await home.json<{ address: string; sessions: number }>(["ps"]);
    assert.deepEqual(
      left.map((line) => [line.address, line.sessions]).sort(),
      [workers[0]!, workers[2]!].map((line) => [line.address, 0]).sort(),
    );
    await home.expect(0, ["down"]);
  },
);

testTutti("a run whose own worker is killed stops the others", async (home) => {
  const run = home.start(LONG, { timeoutMs: LONG_LIVED_MS });
  await run.says(/Sampling [1-9]\d*\/1000/);
  const workers = await home.workers();
  const square = workers.find(({ args }) => args.includes("square"))!;
  assert.equal(workers.length, 3);
  const start = performance.now();
  Deno.kill(square.pid, "SIGKILL");
  const { code, stderr } = await run.result;
  assert.ok(performance.now() - start < PARK_MS);
  assert.equal(code, 3, stderr);
  assert.match(stderr, /error: Worker 127\.0\.0\.1:\d+ was lost while /);
  assert.deepEqual(await home.processes(), []);
});
