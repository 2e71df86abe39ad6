import assert from "node:assert/strict";
import { JobLeases } from "../../../../coordinator/jobs/queue/job_lease.ts";
import { JobQueue, readQueuedJob } from "../../../../coordinator/jobs/queue/job_queue.ts";
import { JobRecords } from "../../../../coordinator/jobs/queue/job_records.ts";
import { submitJob } from "../../../../coordinator/jobs/queue/submit_job.ts";
import { requeueLost } from "../../../../coordinator/jobs/queue/requeue_lost.ts";
import type { JobSpec } from "../../../../coordinator/jobs/job_spec.ts";
import { connectTo } from "../../../support/job_queue.ts";
import { NatsServer, testWithNats } from "../../../support/nats_server.ts";
import { JOB } from "../small_job.ts";

async function openQueue(server: NatsServer, limit?: number) {
  const nats = await connectTo(server);
  const [queue, records] = await Promise.all([JobQueue.open(nats, limit), JobRecords.open(nats)]);
  const submit = (id: string, spec: JobSpec = JOB) => submitJob({ queue, records }, { id, spec });
  return { nats, queue, records, submit, [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose]() };
}

testWithNats(
  "a job that is submitted again is one job, another one under its id is refused",
  async () => {
    await using server = await NatsServer.start();
    await using opened = await openQueue(server);
    const { queue, records, submit } = opened;
    assert.deepEqual(await submit("a"), { isRepeated: false });
    assert.deepEqual(await submit("a"), { isRepeated: true });
    assert.deepEqual(await submit("b", { ...JOB, ensemble: "my.castles" }), { isRepeated: false });
    await assert.rejects(submit("a", { ...JOB, steps: 5 }), {
      code: "ALREADY_EXISTS",
      message: 'Job "a" is another one already: choose another --id',
    });
    assert.deepEqual((await records.list()).map(({ id, state }) => [id, state]), [
      ["a", "queued"],
      ["b", "queued"],
    ]);

    // Each ensemble has a queue of its own.
    for (const [ensemble, id] of [["shapes", "a"], ["my.castles", "b"]] as const) {
      assert.equal(await queue.hasConsumer(ensemble), false);
      const consumer = await queue.consumer(ensemble);
      assert.equal(await queue.hasConsumer(ensemble), true);
      const message = (await consumer.next())!;
      assert.deepEqual(readQueuedJob(message), { id, spec: { ...JOB, ensemble } });
      assert.equal(await consumer.next(), undefined);
      message.ack();
    }
  },
);

testWithNats("jobs are compared by value, in whatever order their fields come", async () => {
  await using server = await NatsServer.start();
  await using opened = await openQueue(server);
  const { submit } = opened;
  await submit("a", { ...JOB, size: { width: 128, height: 64 } });
  const again = await submit("a", { ...JOB, size: { height: 64, width: 128 } });
  assert.deepEqual(again, { isRepeated: true });
  const other = { ...JOB, size: { width: 64, height: 64 } };
  await assert.rejects(submit("a", other), { code: "ALREADY_EXISTS" });
});

testWithNats(
  "a full queue refuses at once, says when to come back, and keeps no trace of the job",
  async () => {
    await using server = await NatsServer.start();
    await using opened = await openQueue(server, 2);
    const { queue, records, submit } = opened;
    await submit("a");
    await submit("b");
    await assert.rejects(submit("c"), {
      code: "RESOURCE_EXHAUSTED",
      details: { limit: "queue", asked: "1", left: "0", retry_after_ms: "5000" },
      message: /^The queue takes no more jobs .*: try again in 5 s/,
    });
    assert.equal(await records.get("c"), undefined);
    const message = (await (await queue.consumer("shapes")).next())!;
    await message.ackAck();
    await submit("c");
    // Somebody may raise the limit later.
    await assert.rejects(submit("d"), { code: "RESOURCE_EXHAUSTED" });
    await JobQueue.open(opened.nats, 3);
    await submit("d");
  },
);

testWithNats("a job that waits is cancelled at once, one that is over stays as it is", async () => {
  await using server = await NatsServer.start();
  await using opened = await openQueue(server);
  const { records, submit } = opened;
  await submit("a");
  assert.equal((await records.cancel("a")).state, "cancelled");
  assert.equal((await records.cancel("a")).state, "cancelled");
  await submit("b");
  const { record, revision } = (await records.get("b"))!;
  const running = await records.update({ ...record, state: "running", coordinator: "c" }, revision);
  assert.deepEqual(await records.update(record, revision), undefined, "an old revision");
  const cancelled = await records.cancel("b");
  assert.deepEqual([cancelled.state, cancelled.isCancelWanted], ["running", true]);
  assert.ok((await records.get("b"))!.revision > running!);
  await assert.rejects(records.cancel("c"), {
    code: "NOT_FOUND",
    message: 'There is no job "c": `tutti jobs` lists them',
  });
});

testWithNats("what is no job or no record is an error that names it", async () => {
  await using server = await NatsServer.start();
  await using opened = await openQueue(server);
  const { nats, queue, records } = opened;
  const jetStream = nats.connection.jetstream();
  const consumer = await queue.consumer("shapes");
  const cases = [
    ["no json", /^Message \d+ of tutti_jobs must be JSON/],
    ["{}", /: "id" must be 1 to 64 letters/],
    [JSON.stringify({ id: "a/b" }), /: "id" must be 1 to 64 letters/],
    [JSON.stringify({ id: "a" }), /^Job "a" must be a JSON object/],
    [JSON.stringify({ id: "a", spec: { version: 1 } }), /^Job "a": "prompt" must be a string/],
  ] as const;
  for (const [text, message] of cases) {
    await jetStream.publish("tutti.jobs.shapes", text);
    const wrong = (await consumer.next())!;
    assert.throws(() => readQueuedJob(wrong), { name: "FormatError", message });
    wrong.term();
  }
  const kv = await jetStream.views.kv("tutti_results");
  await kv.put("broken", '{"version":1,"id":"broken","state":"lost"}');
  await assert.rejects(records.get("broken"), {
    name: "FormatError",
    message: 'Record of job "broken": "state" is wrong: "lost"',
  });
  assert.deepEqual(await records.list(), []);
});

testWithNats(
  "the backlog tells what waits, what is taken and how long, of one ensemble",
  async () => {
    await using server = await NatsServer.start();
    await using opened = await openQueue(server);
    const { queue, submit } = opened;
    await assert.rejects(queue.backlog("shapes"), /backlog of shapes/);
    const consumer = await queue.consumer("shapes");
    const none = { waiting: 0, taken: 0, oldestWaitingSeconds: 0 };
    assert.deepEqual(await queue.backlog("shapes"), none);
    await submit("other", { ...JOB, ensemble: "castles" });
    for (const id of ["a", "b", "c"]) await submit(id);
    const [first] = [await consumer.next()];
    await new Promise((resolve) => setTimeout(resolve, 50));
    const backlog = await queue.backlog("shapes");
    assert.deepEqual([backlog.waiting, backlog.taken], [2, 1]);
    assert.ok(backlog.oldestWaitingSeconds >= 0.05, `${backlog.oldestWaitingSeconds}`);
    first!.ack();
    for (const message of [await consumer.next(), await consumer.next()]) await message!.ackAck();
    assert.deepEqual(await queue.backlog("shapes"), none);
  },
);

testWithNats(
  "jobs whose stream was purged or deleted are in the queue again, and others stay",
  async () => {
    await using server = await NatsServer.start();
    await using opened = await openQueue(server);
    const { nats, queue, records, submit } = opened;
    const leases = await JobLeases.open(nats);
    const lost = (of = queue) => requeueLost({ queue: of, records, leases }, "shapes");
    const manager = await nats.jetStream();
    await queue.consumer("shapes");
    await submit("other", { ...JOB, ensemble: "castles" });
    for (const id of ["a", "b"]) await submit(id);
    assert.deepEqual(await lost(), [], "nothing is lost");
    await manager.streams.purge("tutti_jobs");
    assert.deepEqual(await lost(), ["a", "b"]);
    assert.deepEqual((await queue.backlog("shapes")).waiting, 2);

    // Two that are drawn when it happens; then one of the coordinators dies.
    for (const id of ["a", "b"]) {
      const { record, revision } = (await records.get(id))!;
      await records.update({ ...record, state: "running" }, revision);
    }
    const [ofA, ofB] = [(await leases.take("a", "first"))!, (await leases.take("b", "second"))!];
    await manager.streams.purge("tutti_jobs");
    assert.deepEqual(await lost(), [], "both go on without a message");
    await ofB.release();
    assert.deepEqual(await lost(), ["b"]);
    await manager.streams.purge("tutti_jobs");
    await ofA.release();
    await manager.streams.delete("tutti_jobs");
    const anew = await JobQueue.open(nats);
    const consumer = await anew.consumer("shapes");
    assert.deepEqual(await lost(anew), ["a", "b"]);
    assert.equal(readQueuedJob((await consumer.next())!).id, "a");
    assert.deepEqual(await lost(anew), []);
  },
);
