import assert from "node:assert/strict";
import { NatsCheckpoints } from "../../../../coordinator/jobs/queue/nats_checkpoint.ts";
import type { StepCheckpoint } from "../../../../coordinator/jobs/step_checkpoint.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { connectTo } from "../../../support/job_queue.ts";
import { NatsServer, testWithNats } from "../../../support/nats_server.ts";
import { JOB } from "../small_job.ts";

/** 1 KB of latents, and 2.6 MB: more than a message may be. */
const SMALL = [1, 4, 8, 8], LARGE = [10, 4, 128, 128];

function checkpoint(stepIndex: number, shape: readonly number[]): StepCheckpoint {
  return {
    spec: JOB,
    stepIndex,
    state: {
      latents: randomTensor([...shape], stepIndex + 1),
      memory: { epsilon_1: randomTensor([...shape], stepIndex + 9) },
    },
    conditions: { vaeHash: "ab" },
  };
}

testWithNats("the newest step comes back bit for bit, however large it is", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  const checkpoints = await NatsCheckpoints.open(nats);
  const steps = [
    checkpoint(0, SMALL),
    checkpoint(1, LARGE),
    checkpoint(2, LARGE),
    checkpoint(3, SMALL),
  ];
  const writer = checkpoints.of("job");
  assert.equal(await writer.load(), undefined);
  for (const step of steps) {
    await writer.save(step);
    assert.deepEqual(await checkpoints.of("job").load(), step);
  }
  await writer.save(checkpoint(2, LARGE));
  await writer.remove();
  assert.equal(await checkpoints.of("job").load(), undefined);
  // Nothing is left of the pieces either.
  const objects = await nats.connection.jetstream().views.os("tutti_checkpoints");
  assert.deepEqual((await objects.list()).filter(({ deleted }) => !deleted), []);
});

testWithNats("an owner that has not seen the newest step overwrites nothing", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  const checkpoints = await NatsCheckpoints.open(nats);
  const [zombie, heir] = [checkpoints.of("job"), checkpoints.of("job")];
  await zombie.save(checkpoint(0, SMALL));
  await heir.load();
  await heir.save(checkpoint(1, SMALL));
  for (const shape of [SMALL, LARGE]) {
    await assert.rejects(zombie.save(checkpoint(0, shape)), { code: "ABORTED" });
  }
  assert.equal((await checkpoints.of("job").load())!.stepIndex, 1);
  const late = checkpoints.of("job");
  await assert.rejects(late.save(checkpoint(0, SMALL)), { code: "ABORTED" }, "it has seen nothing");
  await late.catchUp();
  await late.save(checkpoint(2, SMALL));
});
