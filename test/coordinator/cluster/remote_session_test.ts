import assert from "node:assert/strict";
import { checkHealth, readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { ShapeError, type WorkerError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { Hold } from "../../support/hold.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";
import { keepResults } from "../../support/keep_results.ts";

/** A session that has done nothing, and what its first block takes. */
async function openOn(remote: Expert, size?: number) {
  const config = await sessionConfig(remote, size);
  const session = keepResults(await remote.openSession(config));
  const hiddenStates = latentsFor(remote.description, config);
  return { session, config, start: { stepIndex: 0, first: "IN00", last: "IN00", hiddenStates } };
}

Deno.test("RemoteSession raises what the worker's expert raised: class, code, details, and the worker", async () => {
  const expert = new AffineExpert({ gains: { M00: NaN } });
  await using served = await serveExpert(expert);
  const { session, start } = await openOn(served.remote);
  const worker = served.worker.address;
  await assert.rejects(session.forward({ ...start, hiddenStates: f32([2, 4, 7, 8]) }), (error) => {
    assert.ok(error instanceof ShapeError);
    assert.match(error.message, /^Worker 127.*hidden_states must be float32 \[2, 4, 8, 8\]/);
    const details = { worker, block: "IN00", stepIndex: "0", tensor: "hidden_states" };
    assert.deepEqual({ ...error.details }, details);
    return true;
  });
  await assert.rejects(session.forward({ ...start, first: "OUT00", last: "OUT01" }), {
    code: "FAILED_PRECONDITION",
  });
  await assert.rejects(session.forward({ ...start, stepIndex: 3 }), { code: "OUT_OF_RANGE" });
  await assert.rejects(session.forward({ ...start, last: "M00" }), (error: WorkerError) => {
    assert.equal(error.code, "DATA_LOSS");
    assert.deepEqual({ ...error.details }, { worker, block: "M00", stepIndex: "0" });
    return true;
  });
  assert.deepEqual((await session.forward(start)).hiddenStates.shape, [2, 4, 8, 8]);
  await session.close();
});

Deno.test("RemoteSession refuses numbers that protobuf would bend", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { session, config, start } = await openOn(served.remote);
  for (const stepIndex of [-1, 0.5, NaN, 2 ** 32]) {
    await assert.rejects(session.forward({ ...start, stepIndex }), { code: "OUT_OF_RANGE" });
  }
  await assert.rejects(served.remote.openSession({ ...config, batch: 2.5 }), {
    code: "OUT_OF_RANGE",
  });
  await session.forward(start);
  await session.close();
});

Deno.test("RemoteSession refuses a message over the worker's limit before it is sent", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxMessageBytes: 20_000 } });
  const { session, start } = await openOn(served.remote);
  await assert.rejects(session.forward({ ...start, hiddenStates: f32([2, 4, 64, 64]) }), {
    code: "RESOURCE_EXHAUSTED",
    message: /The input of block "IN00" must have at most 18976 bytes .* current count is 131072/,
  });
  await session.forward(start);
  await session.close();
});

Deno.test("RemoteSession: a signal cancels on the worker, in the middle of a range, and frees the session", async () => {
  const hold = new Hold("IN02");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const { session, start } = await openOn(served.remote);
  const abort = new AbortController();
  const forward = session.forward({ ...start, last: "OUT11" }, abort.signal);
  await hold.reached;
  assert.equal((await readWorkerStatus(served.worker.address)).busyLanes, 1);
  abort.abort();
  await assert.rejects(forward, { code: "CANCELLED" });
  await eventually(() => expert.openSessions === 0);
  const status = await readWorkerStatus(served.worker.address);
  assert.deepEqual([status.sessions, status.arenaBytesUsed, status.busyLanes], [0, 0, 0]);

  await assert.rejects(session.forward(start), { code: "FAILED_PRECONDITION", message: /closed/ });
  await session.close();
  const next = await openOn(served.remote);
  await next.session.forward(next.start);
  await next.session.close();
});

Deno.test("RemoteSession: a signal that fired already sends nothing and spoils nothing", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { session, start, config } = await openOn(served.remote);
  const fired = AbortSignal.abort();
  await assert.rejects(session.forward(start, fired), { code: "CANCELLED" });
  await assert.rejects(served.remote.openSession(config, fired), { code: "CANCELLED" });
  await session.forward(start);
  await session.close();
});

Deno.test("RemoteSession: closing frees it at once, ends a running forward, and may be repeated", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const { session, start } = await openOn(served.remote);
  const forward = assert.rejects(session.forward(start), { code: "CANCELLED" });
  await hold.reached;
  await assert.rejects(session.forward(start), {
    code: "FAILED_PRECONDITION",
    message: /one command at a time/,
  });
  await Promise.all([session.close(), session.close()]);
  await forward;
  await eventually(() => expert.openSessions === 0);

  const quiet = await openOn(served.remote);
  await quiet.session.close();
  assert.equal(expert.openSessions, 0);
  await quiet.session.close();
  await assert.rejects(quiet.session.forward(start), { code: "FAILED_PRECONDITION" });
});

Deno.test("RemoteExpert: closing it closes its sessions and leaves the worker", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { session, start } = await openOn(served.remote);
  await session.forward(start);
  await served.remote.close();
  assert.equal(expert.openSessions, 0);
  assert.equal(await checkHealth(served.worker.address), "SERVING");
});

Deno.test("single calls raise typed errors, and the next good one works", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const { remote, blocks } = served;
  const config = await sessionConfig(remote);
  const temb = await remote.embedTimesteps([1, 1]);
  const hiddenStates = latentsFor(remote.description, config);
  const { encoderHiddenStates } = config;
  const good = { block: "IN00", hiddenStates, temb, encoderHiddenStates };
  const cases: [Partial<typeof good> & Record<string, unknown>, string, RegExp][] = [
    [{ block: "IN12" }, "NOT_FOUND", /"IN00" to "OUT11": current value is "IN12"/],
    [{ hiddenStates: f32([2, 5, 8, 8]) }, "INVALID_ARGUMENT", /float32 \[2, 4, 8, 8\]/],
    [{ hiddenStates: f32([8]) }, "INVALID_ARGUMENT", /float32 \[B, 4, h, w\]/],
    [{ hiddenStates: f32([2, 4, 0, 8]) }, "INVALID_ARGUMENT", /float32 \[B, 4, h, w\]/],
    [{ hiddenStates: f32([2, 4, 300, 1]) }, "INVALID_ARGUMENT", /height must be at most 256/],
    [{ hiddenStates: f32([33, 4, 1, 1]) }, "INVALID_ARGUMENT", /batch must be at most 32/],
    [{ block: "IN01", temb: f32([2, 15]) }, "INVALID_ARGUMENT", /temb must be float32 \[2, 16\]/],
    [{ encoderHiddenStates: f32([1, 7, 6]) }, "INVALID_ARGUMENT", /float32 \[2, L, 6\]/],
    [{ block: "OUT11", hiddenStates: f32([2, 4, 8, 8]) }, "INVALID_ARGUMENT", /residual must be/],
    [
      {
        block: "OUT02",
        hiddenStates: f32([2, 8, 1, 1]),
        residual: f32([2, 8, 1, 1]),
        targetSize: [1e9, 1],
      },
      "INVALID_ARGUMENT",
      /target_height must be at most 64/,
    ],
  ];
  for (const [changes, code, message] of cases) {
    await assert.rejects(blocks.forwardBlock({ ...good, ...changes }), { code, message });
    assert.deepEqual((await blocks.forwardBlock(good)).hiddenStates.shape, [2, 4, 8, 8]);
  }
  await assert.rejects(remote.embedTimesteps([]), { code: "INVALID_ARGUMENT" });
  await assert.rejects(remote.embedTimesteps(new Array(1001).fill(1)), /at most 1000/);
  await assert.rejects(
    remote.encodeText({ dtype: "int64", shape: [1], data: new BigInt64Array(1) }),
    {
      code: "INVALID_ARGUMENT",
      message: /input_ids must be int64 \[B, 7\]/,
    },
  );
});

Deno.test("a signal cancels a single call on the worker", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const request = {
    block: "IN00",
    hiddenStates: latentsFor(expert.description, config),
    temb: f32([2, 16]),
    encoderHiddenStates: config.encoderHiddenStates,
  };
  const abort = new AbortController();
  const call = served.blocks.forwardBlock(request, abort.signal);
  await hold.reached;
  abort.abort();
  await assert.rejects(call, { code: "CANCELLED" });
  await eventually(async () => (await readWorkerStatus(served.worker.address)).busyLanes === 0);
  hold.release();
  await served.blocks.forwardBlock(request);
});

Deno.test("RemoteExpert: overflow in a real U-Net is DATA_LOSS naming block and worker, and the next step works", async () => {
  const expert = await openGoldenExpert("a");
  await using served = await serveExpert(expert);
  const { session, start } = await openOn(served.remote);
  const huge = f32(start.hiddenStates.shape, start.hiddenStates.data.map(() => 3e38));
  await assert.rejects(session.forward({ ...start, hiddenStates: huge }), (error: WorkerError) => {
    assert.equal(error.code, "DATA_LOSS");
    assert.equal(error.details.block, "IN00");
    assert.equal(error.details.worker, served.worker.address);
    assert.match(error.message, /IN00 must be finite/);
    return true;
  });
  await session.forward({ ...start, last: "OUT11" });
  await session.close();
  await expert.close();
});
