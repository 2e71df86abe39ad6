import assert from "node:assert/strict";
import { Patience } from "../../../../coordinator/cluster/admission_retry.ts";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { connectExpert } from "../../../../coordinator/cluster/remote_expert.ts";
import { closeWaves, openWaves } from "../../../../coordinator/sampling/session/wave_sessions.ts";
import { startWorkerServer } from "../../../../worker/rpc/server.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { eventually } from "../../../support/serve_expert.ts";

Deno.test("a run that waits for room gets it when it is there, not when it was expected", async () => {
  const local = new AffineExpert();
  const listen = "127.0.0.1:0";
  await using worker = await startWorkerServer({
    expert: local,
    listen,
    limits: { maxSessions: 1 },
  });
  await worker.ready;
  const expert = await connectExpert(worker.address);
  const timesteps = Array.from({ length: 200 }, (_, i) => 999 - i);
  const config = { ...await sessionConfig(expert), timesteps };
  const holder = await expert.openSession({ ...config, job: "holder" });
  const first = local.description.blocks[0]!.id;
  const hiddenStates = latentsFor(local.description, config);
  // The worker expects the steps that are left to take as long as these.
  for (const stepIndex of [0, 1]) {
    await holder.forward({ stepIndex, first, last: first, hiddenStates });
    await delay(200);
  }
  const { batch, height, width, encoderHiddenStates } = config;
  const refusals: number[] = [];
  const patience = new Patience({
    waitMs: 600_000,
    onRefusal: ({ details }) => refusals.push(Number(details.retry_after_ms)),
  });
  const start = performance.now();
  const opening = openWaves(
    [expert],
    [{ start: 0, end: batch }],
    { experts: [{ encoderHiddenStates }], at: () => assert.fail("nothing is aggregated") },
    { height, width, timesteps, job: "waiter" },
    { patience },
  );
  await eventually(() => refusals.length > 0);
  await holder.close(); // As when its job is cancelled.
  await closeWaves(await opening);
  assert.ok(refusals[0]! > 10_000, `it expects room after ${refusals[0]} ms`);
  assert.ok(performance.now() - start < refusals[0]!);
  await expert.close();
});
