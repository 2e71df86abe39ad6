import assert from "node:assert/strict";
import {
  readyAddress,
  spawnWorker,
  startError,
} from "../../../coordinator/cluster/spawn_worker.ts";
import { checkHealth } from "../../../coordinator/cluster/worker_status.ts";
import { FormatError, TuttiError, UsageError, WorkerError } from "../../../shared/errors.ts";
import { goldenExpert } from "../../support/golden_expert.ts";

const isAlive = (pid: number) =>
  new Deno.Command("kill", { args: ["-0", String(pid)], stderr: "null" }).outputSync().success;

Deno.test("spawnWorker() gives a worker that serves until it is disposed of", async () => {
  let pid: number;
  {
    await using worker = await spawnWorker({ model: goldenExpert("a"), name: "a", threads: 1 });
    ({ pid } = worker);
    assert.equal(await checkHealth(worker.address), "SERVING");
    assert.ok(isAlive(pid));
  }
  assert.ok(!isAlive(pid));
});

Deno.test("spawnWorker() throws what the worker says of a model that it cannot open", async () => {
  await assert.rejects(
    spawnWorker({ model: "/nowhere", name: "gone", threads: 1 }),
    (error: FormatError) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, /^Worker "gone" did not start: Cannot open model "\/nowhere": /);
      assert.deepEqual(error.details, { model: "/nowhere", name: "gone" });
      return true;
    },
  );
});

Deno.test("spawnWorker() that is cancelled leaves no worker, however early", async () => {
  const cancelled = new AbortController();
  cancelled.abort();
  const options = { model: goldenExpert("a"), name: "a", threads: 1 };
  await assert.rejects(spawnWorker({ ...options, signal: cancelled.signal }), {
    code: "CANCELLED",
  });
  const start = performance.now();
  await (await spawnWorker(options))[Symbol.asyncDispose]();
  const wholeMs = performance.now() - start;
  for (const share of [0, 0.1, 0.3, 0.6]) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), share * wholeMs);
    // It resolves only where the worker was ready before.
    const worker = await spawnWorker({ ...options, signal: controller.signal }).catch((error) => {
      assert.ok(error instanceof TuttiError);
      assert.equal(error.code, "CANCELLED");
    });
    await worker?.[Symbol.asyncDispose]();
  }
});

Deno.test("readyAddress() takes the address of the line that says ready, and of no other", () => {
  assert.equal(readyAddress('{"event":"ready","address":"127.0.0.1:7070"}'), "127.0.0.1:7070");
  assert.equal(readyAddress('{"event":"error","message":"no"}'), undefined);
  assert.equal(readyAddress("Warning: something"), undefined);
  assert.equal(readyAddress(""), undefined);
});

Deno.test("startError() keeps whose fault it was", () => {
  const kinds = [[4, FormatError], [2, UsageError], [1, WorkerError], [undefined, WorkerError]];
  for (const [exitCode, kind] of kinds) {
    const error = startError("a", exitCode as number | undefined, "why", { log: "x" });
    assert.equal(error.constructor, kind);
    assert.equal(error.message, 'Worker "a" did not start: why');
    assert.deepEqual(error.details, { log: "x", name: "a" });
  }
});
