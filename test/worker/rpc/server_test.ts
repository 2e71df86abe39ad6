import assert from "node:assert/strict";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { checkHealth, readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import type { BlockExpert } from "../../../shared/engine/block_expert.ts";
import { WorkerError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { TUTTI_VERSION } from "../../../shared/wire/version.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { Hold } from "../../support/hold.ts";
import { serveExpert } from "../../support/serve_expert.ts";

const listen = "127.0.0.1:0";

Deno.test("worker: is not serving while it loads, and a client that connects waits for it", async () => {
  const loading = Promise.withResolvers<BlockExpert>();
  await using worker = await startWorkerServer({ expert: loading.promise, listen });
  assert.equal(await checkHealth(worker.address), "NOT_SERVING");
  assert.deepEqual((await readWorkerStatus(worker.address)).state, "loading");
  await assert.rejects(connectExpert(worker.address, { connectTimeoutMs: 2_000 }), (error) => {
    assert.ok(error instanceof WorkerError);
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(error.message, /still loading/);
    return true;
  });
  const connecting = connectExpert(worker.address);
  setTimeout(() => loading.resolve(new AffineExpert()), 50);
  const remote = await connecting;
  await worker.ready;
  assert.equal(await checkHealth(worker.address), "SERVING");
  const status = await readWorkerStatus(worker.address);
  assert.equal(status.state, "serving");
  assert.equal(status.name, "affine");
  assert.equal(status.versions.tutti, TUTTI_VERSION);
  assert.ok(status.residentBytes > 10_000_000 && status.uptimeSeconds > 0);
  await remote.close();
});

Deno.test("worker: a model that cannot be opened is told through `ready`, and it can be stopped", async () => {
  const expert = Promise.reject(new Error("no such model"));
  await using worker = await startWorkerServer({ expert, listen });
  await assert.rejects(worker.ready, /no such model/);
  assert.equal(await checkHealth(worker.address), "NOT_SERVING");
});

Deno.test("worker: health and status answer while a block computes and another waits", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const session = await served.remote.openSession(config);
  const hiddenStates = latentsFor(expert.description, config);
  const { encoderHiddenStates } = config;
  const calls = [
    session.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates }),
    served.blocks.forwardBlock({
      block: "IN00",
      hiddenStates,
      temb: f32([2, 16]),
      encoderHiddenStates,
    }),
  ];
  await hold.reached;
  assert.equal(await checkHealth(served.worker.address), "SERVING");
  let status = await readWorkerStatus(served.worker.address);
  while (status.queueDepth === 0) status = await readWorkerStatus(served.worker.address);
  assert.deepEqual([status.busyLanes, status.queueDepth, status.sessions], [1, 1, 1]);
  hold.release();
  await Promise.all(calls);
  await session.close();
});

Deno.test("worker: takes a bounded number of single calls", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert, { limits: { maxCalls: 1 } });
  const config = await sessionConfig(expert);
  const request = {
    block: "IN00",
    hiddenStates: latentsFor(expert.description, config),
    temb: f32([2, 16]),
    encoderHiddenStates: config.encoderHiddenStates,
  };
  const first = served.blocks.forwardBlock(request);
  await hold.reached;
  await assert.rejects(served.blocks.forwardBlock(request), {
    code: "RESOURCE_EXHAUSTED",
    message: /takes 1 calls at a time/,
  });
  hold.release();
  await first;
  await served.blocks.forwardBlock(request);
});

Deno.test("worker: stopping lets the running command finish, then ends the session", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const session = await served.remote.openSession(config);
  const hiddenStates = latentsFor(expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN00", hiddenStates };
  const forward = session.forward(range);
  await hold.reached;
  const stopping = served.worker.stop();
  assert.equal(await checkHealth(served.worker.address), "NOT_SERVING");
  await assert.rejects(served.remote.openSession(config), (error: WorkerError) => {
    assert.ok(error instanceof WorkerError);
    assert.equal(error.code, "UNAVAILABLE");
    assert.equal(error.details.state, "stopping");
    return true;
  });
  hold.release();
  assert.deepEqual((await forward).hiddenStates.shape, [2, 4, 8, 8]);
  await stopping;
  assert.equal(expert.openSessions, 0);
  await assert.rejects(session.forward(range), { name: "WorkerError", code: "UNAVAILABLE" });
  await session.close();
});

Deno.test("worker: stopping does not wait longer than its grace for work that hangs", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert, { stopGraceMs: 50 });
  const config = await sessionConfig(expert);
  const session = await served.remote.openSession(config);
  const hiddenStates = latentsFor(expert.description, config);
  const forward = session.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates });
  const lost = assert.rejects(forward, { name: "WorkerError", code: "UNAVAILABLE" });
  await hold.reached;
  await served.worker.stop();
  await lost;
  assert.equal(expert.openSessions, 0);
});

Deno.test("worker: an address in use is refused with the next step to take", async () => {
  await using worker = await startWorkerServer({ expert: new AffineExpert(), listen });
  await assert.rejects(
    startWorkerServer({ expert: new AffineExpert(), listen: worker.address }),
    { code: "FAILED_PRECONDITION", message: /Cannot listen on 127\.0\.0\.1:\d+: .*--listen/ },
  );
  assert.equal(await checkHealth(worker.address), "SERVING");
});

Deno.test("worker: listens beyond this machine only when told to", async () => {
  const expert = new AffineExpert();
  await assert.rejects(startWorkerServer({ expert, listen: "0.0.0.0:0" }), {
    name: "UsageError",
    message: /needs --tls-cert and --tls-key, and --tls-ca or --token-file/,
  });
  await using worker = await startWorkerServer({ expert, listen: "0.0.0.0:0", insecure: true });
  assert.equal(await checkHealth(worker.address.replace("0.0.0.0", "127.0.0.1")), "SERVING");
});
