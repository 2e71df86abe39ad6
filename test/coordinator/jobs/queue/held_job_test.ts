import assert from "node:assert/strict";
import type { JsMsg } from "nats";
import type { HeldJob } from "../../../../coordinator/jobs/queue/held_job.ts";
import { newRecord } from "../../../../coordinator/jobs/queue/job_record.ts";
import { type JobStores, takeJob } from "../../../../coordinator/jobs/queue/take_job.ts";
import type { StepCheckpoint } from "../../../../coordinator/jobs/step_checkpoint.ts";
import type { Nats } from "../../../../shared/nats/connect.ts";
import { JobFences } from "../../../../worker/job_fences.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { connectTo, openStores } from "../../../support/job_queue.ts";
import { LinkProxy } from "../../../support/link_proxy.ts";
import { NatsServer, testWithNats } from "../../../support/nats_server.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { JOB } from "../small_job.ts";

/** Stands for the queue's message, of which these tests ask nothing. */
const message = { working() {} } as unknown as JsMsg;
const never = new AbortController().signal;
const castle = { id: "castle", spec: JOB };

const stepAt = (stepIndex: number): StepCheckpoint => ({
  spec: JOB,
  stepIndex,
  conditions: { vaeHash: "ab" },
  state: { latents: randomTensor([1, 4, 64, 64], 1), memory: {} },
});

/** A job that runs. */
async function hold(stores: JobStores, coordinator: string): Promise<HeldJob> {
  const held = await takeJob(stores, message, castle, never);
  assert.ok(typeof held === "object", `it is ${held}`);
  await held.write({ state: "running", coordinator });
  return held;
}

async function queued(nats: Nats): Promise<JobStores> {
  const stores = await openStores(nats);
  await stores.records.create(newRecord(castle.id, JOB));
  return stores;
}

testWithNats("a step that does not fit on the NATS server's disk ends no image", async () => {
  await using server = await NatsServer.start({ maxFileStore: 1_200_000 });
  await using nats = await connectTo(server);
  const stores = await queued(nats);
  await using held = await hold(stores, "a");
  await held.keepStep(stepAt(0));
  const fill = async () => {
    for (let i = 0;; i++) await stores.checkpoints.of(`other-${i}`).save(stepAt(0));
  };
  await assert.rejects(fill(), { code: "UNAVAILABLE", message: /JetStream does not take it now/ });
  await held.keepStep(stepAt(1));
  assert.equal((await stores.checkpoints.of(castle.id).load())?.stepIndex, 0);
});

testWithNats("a job goes on and is done on a NATS server that has lost its store", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  const stores = await queued(nats);
  await using held = await hold(stores, "a");
  await held.keepStep(stepAt(0));
  await server.restart({ emptyStore: true });
  await eventually(() => nats.isConnected);
  await held.keepStep(stepAt(1));
  await held.keepRecord({ stepsDone: 2 });
  await held.confirmLastly(never);
  await held.writeLastly({ state: "done" }, never);
  const { state, stepsDone, fence } = (await stores.records.get(castle.id))!.record;
  assert.deepEqual({ state, stepsDone, fence }, { state: "done", stepsDone: 2, fence: held.fence });
});

testWithNats(
  "fences go on rising where NATS has lost its store, as workers remember them",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const worker = new JobFences();
    let last = 0;
    for (let run = 0; run < 3; run++) {
      const held = await hold(await queued(nats), "a");
      assert.ok(held.fence > last);
      last = held.fence;
      worker.enter(castle.id, held.fence, () => {})();
      await held[Symbol.asyncDispose]();
      // The first time its store is still there.
      if (run > 0) await server.restart({ emptyStore: true });
      await eventually(() => nats.isConnected);
    }
  },
);

testWithNats("who wants a job to end is heard in the middle of a step", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  const stores = await queued(nats);
  await using held = await hold(stores, "a");
  await stores.records.cancel(castle.id);
  await eventually(() => held.ends.aborted);
  assert.equal(held.ends.reason.code, "CANCELLED");
});

testWithNats(
  "an owner that was away while its heir finished the job is told before it stores images",
  async () => {
    await using server = await NatsServer.start();
    const link = new LinkProxy({ server: { hostname: "127.0.0.1", port: server.port } });
    await using awayNats = await connectTo({ url: `nats://${link.address}` });
    await using nats = await connectTo(server);
    const { port } = link;
    await using zombie = await hold(await queued(awayNats), "a");
    await link[Symbol.asyncDispose]();
    const heir = await hold(await openStores(nats), "b");
    assert.ok(heir.fence > zombie.fence);
    await heir.writeLastly({ state: "done" }, never);
    await heir[Symbol.asyncDispose]();
    await using _link = new LinkProxy({
      server: { hostname: "127.0.0.1", port: server.port },
      listen: { hostname: "127.0.0.1", port },
    });
    await assert.rejects(zombie.confirmLastly(never), { code: "ABORTED" });
    assert.ok(zombie.isLost);
  },
);

testWithNats(
  "who gets a second message of a job that is well does not wait for its end",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const stores = await queued(nats);
    await using held = await hold(stores, "a");
    assert.equal(await takeJob(stores, message, castle, never), "elsewhere");
    assert.ok(!held.isLost);
    await held.writeLastly({ state: "done" }, never);
    assert.equal(await takeJob(stores, message, castle, never), "over");
  },
);
