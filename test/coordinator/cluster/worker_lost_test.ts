import assert from "node:assert/strict";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { spawnWorker } from "../../../coordinator/cluster/spawn_worker.ts";
import { WorkerError } from "../../../shared/errors.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { turns } from "../../support/turns.ts";

function startWorker() {
  return spawnWorker({ model: goldenExpert("a"), name: "expert-a", threads: 1 });
}

function assertLost(expected: { message: RegExp; details: Record<string, string> }) {
  return (error: unknown) => {
    assert.ok(error instanceof WorkerError, String(error));
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(error.message, expected.message);
    assert.deepEqual({ ...error.details }, expected.details);
    return true;
  };
}

Deno.test("a worker process killed in a step is a typed error that names worker, block and step", async () => {
  await using worker = await startWorker();
  const remote = await connectExpert(worker.address);
  const config = await sessionConfig(remote);
  const hiddenStates = latentsFor(remote.description, config);
  const session = await remote.openSession(config);
  const started = await session.forward({
    stepIndex: 1,
    first: "IN00",
    last: "IN02",
    hiddenStates,
  });

  // A stopped process takes the call into its socket and cannot answer before it dies.
  Deno.kill(worker.pid, "SIGSTOP");
  const { address } = worker;
  const inSession = assert.rejects(
    session.forward({ ...started, stepIndex: 1, first: "IN03", last: "IN03" }),
    assertLost({
      message: new RegExp(
        `^Worker ${address} was lost while computing block "IN03" in step 1: `,
      ),
      details: { worker: address, block: "IN03", stepIndex: "1" },
    }),
  );
  const smallWork = assert.rejects(
    remote.embedTimesteps([1]),
    assertLost({
      message: new RegExp(`^Worker ${address} was lost while embedding timesteps: `),
      details: { worker: address },
    }),
  );
  await turns(20);
  Deno.kill(worker.pid, "SIGKILL");
  await Promise.all([inSession, smallWork]);

  await assert.rejects(
    session.forward({ stepIndex: 2, first: "IN00", last: "IN00", hiddenStates }),
    {
      name: "WorkerError",
      details: { worker: address, block: "IN00", stepIndex: "2" },
    },
  );
  await session.close();
  await remote.close();

  await using replacement = await startWorker();
  const next = await connectExpert(replacement.address);
  const nextSession = await next.openSession(config);
  const again = await nextSession.forward({
    stepIndex: 1,
    first: "IN00",
    last: "IN02",
    hiddenStates,
  });
  assert.deepEqual(again.hiddenStates, started.hiddenStates);
  await nextSession.close();
  await next.close();
});
