import assert from "node:assert/strict";
import { JobLeases, LEASE_MS } from "../../../../coordinator/jobs/queue/job_lease.ts";
import { NatsServer, testWithNats } from "../../../support/nats_server.ts";
import { connectTo } from "../../../support/job_queue.ts";
import { eventually } from "../../../support/serve_expert.ts";

testWithNats("a lease has one owner, and the next one takes it later", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  const leases = await JobLeases.open(nats);
  const first = (await leases.take("job", "a"))!;
  assert.equal(await leases.take("job", "b"), undefined);
  assert.ok(await leases.take("other-job", "b"));
  await first.confirm();
  assert.ok(await leases.isHeld("job"));
  await first.release();
  const second = (await leases.take("job", "b"))!;
  assert.ok(second.takenAt > first.takenAt);
  assert.ok(!second.lost.aborted);
  await second.confirm();
});

testWithNats(
  "a lease that is not written again ends, and its owner hears who has the job",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const leases = await JobLeases.open(nats);
    const start = performance.now();
    const zombie = (await leases.take("job", "a"))!;
    await eventually(async () => !await leases.isHeld("job"));
    assert.ok(performance.now() - start > LEASE_MS - 1_000);
    const heir = (await leases.take("job", "b"))!;
    const refused = { code: "ABORTED", details: { job: "job", field: "fence" } };
    await assert.rejects(zombie.confirm(), refused);
    assert.ok(zombie.lost.aborted);
    await assert.rejects(zombie.confirm(), refused);
    await zombie.release();
    await heir.confirm();
  },
);

testWithNats(
  "a lease that vanished under its owner is taken back if nobody was faster",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const leases = await JobLeases.open(nats);
    const lease = (await leases.take("job", "a"))!;
    await eventually(async () => !await leases.isHeld("job"));
    await lease.confirm();
    assert.ok(await leases.isHeld("job"));
    assert.ok(!lease.lost.aborted);
    assert.equal(await leases.take("job", "b"), undefined);
  },
);
