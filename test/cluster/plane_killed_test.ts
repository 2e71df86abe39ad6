import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { spawnWorker } from "../../coordinator/cluster/spawn_worker.ts";
import { listWorkerSessions } from "../../coordinator/cluster/worker_status.ts";
import { openToMessage } from "../../shared/wire/convert_session.ts";
import { PLANE_KINDS } from "../../shared/wire/plane/plane_kind.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { NO_PLANES, RawSession } from "../support/raw_session.ts";
import { testTutti } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

const WORKER = { model: zooPath("round"), name: "round", threads: 1 };

/** Regions that a process named and that anybody could still open. */
function regionsOf(pid: number): string[] {
  return [...Deno.readDirSync("/dev/shm")].map(({ name }) => name)
    .filter((name) => name.startsWith(`tutti-${pid}-`));
}

Deno.test("a worker killed before its region is taken leaves a name, and the next worker removes it", async () => {
  const worker = await spawnWorker(WORKER);
  try {
    const remote = await connectExpert(worker.address);
    const open = openToMessage(await sessionConfig(remote), remote.description.modelHash, {
      ...NO_PLANES,
      planes: PLANE_KINDS,
    });
    await remote.close();
    using raw = new RawSession(worker.address);
    assert.ok("event" in await raw.ask(open));
    assert.equal(regionsOf(worker.pid).length, 1);
    Deno.kill(worker.pid, "SIGKILL");
    assert.ok("end" in await raw.next());
    assert.equal(regionsOf(worker.pid).length, 1, "nobody was left to remove it");
  } finally {
    await worker[Symbol.asyncDispose]();
  }
  await using _next = await spawnWorker(WORKER);
  assert.deepEqual(regionsOf(worker.pid), []);
});

Deno.test("a worker killed in the middle of a session over shared memory: a typed error, nothing left", async () => {
  const worker = await spawnWorker(WORKER);
  const remote = await connectExpert(worker.address);
  try {
    const config = await sessionConfig(remote);
    const session = await remote.openSession(config);
    assert.equal(session.plane, "shm");
    const hiddenStates = latentsFor(remote.description, config);
    const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates };
    const { hiddenStates: noise } = await session.forward(range);
    Deno.kill(worker.pid, "SIGKILL");
    await assert.rejects(session.forward(range), { name: "WorkerError", code: "UNAVAILABLE" });
    // The memory is still ours: looking at an old result is no crash.
    assert.ok(noise.data.every(Number.isFinite));
    await session.close();
    assert.deepEqual(regionsOf(worker.pid), []);
  } finally {
    await remote.close();
    await worker[Symbol.asyncDispose]();
  }
});

testTutti(
  "a coordinator killed in the middle of an image leaves nothing on its workers",
  async (home) => {
    const workers = await home.json<{ address: string; pid: number }>(["up"]);
    const descriptors = (pid: number) => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
    await home.expect(0, ["sample", PROMPT, "--steps", "1", "--json"]);
    const before = workers.map(({ pid }) => descriptors(pid));
    const run = home.start(["sample", PROMPT, "--steps", "1000", "--json"]);
    const { address } = workers[0]!;
    await eventually(async () => ((await listWorkerSessions(address))[0]?.stepIndex ?? 0) > 0);
    assert.equal((await listWorkerSessions(address))[0]!.plane, "shm");
    run.kill("SIGKILL");
    await run.result;
    for (const { address } of workers) {
      await eventually(async () => (await listWorkerSessions(address)).length === 0);
    }
    await eventually(() => workers.every(({ pid }, i) => descriptors(pid) <= before[i]!));
    for (const { pid } of workers) assert.deepEqual(regionsOf(pid), []);
    await home.expect(0, ["down"]);
  },
);
