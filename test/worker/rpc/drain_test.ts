import assert from "node:assert/strict";
import { checkHealth, readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import type { RemoteSession } from "../../../coordinator/cluster/remote_session.ts";
import type { SessionConfig } from "../../../shared/engine/expert.ts";
import { WorkerError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { PLANE_KINDS } from "../../../shared/wire/plane/plane_kind.ts";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { Hold } from "../../support/hold.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";

/** Longer than any of these tests. */
const LONG_MS = 60_000;

/** One whole step in two ranges. */
async function step(session: RemoteSession, stepIndex: number, latents: F32Tensor) {
  const half = await session.forward({
    stepIndex,
    first: "IN00",
    last: "IN00",
    hiddenStates: latents,
  });
  const rest = half.hiddenStates.data.slice();
  const hiddenStates = { ...half.hiddenStates, data: rest };
  return session.forward({ stepIndex, first: "IN01", last: "OUT11", hiddenStates });
}

function isDraining(handover?: "true") {
  return (error: unknown) => {
    assert.ok(error instanceof WorkerError, String(error));
    assert.equal(error.code, "UNAVAILABLE");
    assert.deepEqual([error.details.state, error.details.handover], ["draining", handover]);
    const retryAfterMs = Number(error.details.retry_after_ms);
    assert.ok(retryAfterMs > 0 && retryAfterMs <= LONG_MS, String(retryAfterMs));
    return true;
  };
}

Deno.test("worker: a draining worker refuses new sessions, says so, and stops with its last session", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { worker, remote } = served;
  const config = await sessionConfig(expert);
  const session = await remote.openSession(config);
  let isStopped = false;
  const drained = worker.drain(LONG_MS).then(() => isStopped = true);
  assert.equal(await checkHealth(worker.address), "NOT_SERVING");
  assert.equal((await readWorkerStatus(worker.address)).state, "draining");
  await assert.rejects(remote.openSession(config), isDraining());
  // This client has nowhere else to go: its session goes on to its end.
  const latents = latentsFor(expert.description, config);
  for (const stepIndex of config.timesteps.keys()) await step(session, stepIndex, latents);
  assert.equal(isStopped, false);
  await session.close();
  await drained;
  assert.equal(expert.openSessions, 0);
});

Deno.test("worker: who waits for room hears at once that the worker drains", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxSessions: 1 } });
  const { worker, remote } = served;
  const config = await sessionConfig(expert);
  const session = await remote.openSession(config);
  const waiting = remote.openSession({ ...config, waitMs: LONG_MS });
  const refused = assert.rejects(waiting, isDraining());
  await eventually(async () => (await readWorkerStatus(worker.address)).waitingSessions === 1);
  const drained = worker.drain(LONG_MS);
  await refused;
  await session.close();
  await drained;
});

for (const plane of PLANE_KINDS) {
  Deno.test(`worker: a session that can move finishes its step, and is handed over before the next: ${plane}`, async () => {
    const hold = new Hold("M00");
    const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
    await using served = await serveExpert(expert);
    const remote = await connectExpert(served.worker.address, { transport: { plane } });
    const config: SessionConfig = { ...await sessionConfig(expert), canMove: true };
    const session = await remote.openSession(config);
    assert.equal(session.plane, plane);
    const latents = latentsFor(expert.description, config);
    const forward = step(session, 0, latents);
    await hold.reached;
    const drained = served.worker.drain(LONG_MS);
    hold.release();
    assert.deepEqual((await forward).hiddenStates.shape, [2, 4, 8, 8]);
    await assert.rejects(step(session, 1, latents), isDraining("true"));
    await drained;
    assert.equal(expert.openSessions, 0);
    await session.close();
    await remote.close();
  });
}

Deno.test("worker: draining ends at its limit, whatever runs", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const [idle, busy] = [
    await served.remote.openSession(config),
    await served.remote.openSession(config),
  ];
  const hiddenStates = latentsFor(expert.description, config);
  const forward = busy.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates });
  const lost = assert.rejects(forward, { name: "WorkerError", code: "UNAVAILABLE" });
  await hold.reached;
  await served.worker.drain(50);
  await lost;
  await idle.ended;
  assert.equal(expert.openSessions, 0);
});

Deno.test("worker: stopping cuts draining short", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const session = await served.remote.openSession(await sessionConfig(expert));
  const drained = served.worker.drain(LONG_MS);
  await served.worker.stop();
  await drained;
  await session.ended;
});
