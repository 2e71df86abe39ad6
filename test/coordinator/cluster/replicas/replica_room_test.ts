import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import { connectWorkers } from "../../../../coordinator/cluster/replicas/replica_connection.ts";
import { StaticReplicas } from "../../../../coordinator/cluster/replicas/replica_directory.ts";
import { connectExpert } from "../../../../coordinator/cluster/remote_expert.ts";
import { TuttiError } from "../../../../shared/errors.ts";
import { startWorkerServer } from "../../../../worker/rpc/server.ts";
import { AFFINE_BLOCKS, AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { ReplicaFleet } from "../../../support/replica_fleet.ts";

/** As a worker refuses: there will be room. */
function refusal(limit: string): TuttiError {
  const details = { limit, asked: "1", left: "0", retry_after_ms: "10" };
  return new TuttiError("RESOURCE_EXHAUSTED", `no room: ${limit}`, { details });
}

const local = new AffineExpert();
const first = AFFINE_BLOCKS[0]!.id;

for (const limit of ["max_sessions", "max_waiting", "max_sessions_per_job"]) {
  Deno.test(`a failover waits where the other worker is short of ${limit} for a moment`, async () => {
    const fleet = new ReplicaFleet({ "w0:1": local, "w1:1": local });
    let victim: string | undefined;
    let refusals = 0;
    fleet.fault = ({ method, address, block }) => {
      if (method === "forward" && block === "IN05" && !victim) fleet.kill(victim = address);
      if (method === "openSession" && victim && refusals++ < 3) throw refusal(limit);
    };
    const expert = await openReplicatedExpert(fleet.options());
    const session = await expert.openSession({ ...await sessionConfig(local), waitMs: 60_000 });
    let hiddenStates = latentsFor(expert.description, await sessionConfig(local));
    for (const { id } of AFFINE_BLOCKS) {
      const range = { stepIndex: 0, first: id, last: id, hiddenStates };
      hiddenStates = (await session.forward(range)).hiddenStates;
    }
    assert.ok(refusals > 3);
    await session.close();
    await expert.close();
  });
}

Deno.test("a worker that was full gets work as soon as it has room, however often it refused", async () => {
  const fleet = new ReplicaFleet({ "busy:1": local, "idle:1": local });
  let isFull = true;
  fleet.fault = ({ method }) => {
    if (method === "openSession" && isFull) throw refusal("max_sessions");
  };
  const options = fleet.options();
  const expert = await openReplicatedExpert({
    ...options,
    connect: async (address, how) => {
      const connection = await options.connect(address, how);
      const sessions = address === "busy:1" ? 15 : 0;
      const askLoad: typeof connection.askLoad = async (signal) => ({
        ...await connection.askLoad(signal),
        sessions,
      });
      return { ...connection, askLoad };
    },
  });
  const config = await sessionConfig(local);
  for (let i = 0; i < 12; i++) {
    await assert.rejects(expert.openSession(config), { code: "RESOURCE_EXHAUSTED" });
    await delay(2 * options.settings!.maxRetryMs!);
  }
  isFull = false;
  const session = await expert.openSession(config);
  assert.equal(fleet.calls.at(-1)!.address, "idle:1");
  await session.close();
  await expert.close();
});

Deno.test("without park time a full worker goes on saying that it is full", async () => {
  const fleet = new ReplicaFleet({ "w0:1": local });
  fleet.fault = ({ method }) => {
    if (method === "openSession") throw refusal("max_sessions");
  };
  // It is not asked again while the test runs.
  const settings = { retryMs: 60_000, maxRetryMs: 60_000 };
  const options = fleet.options({ parkMs: 0 });
  const expert = await openReplicatedExpert({
    ...options,
    settings: { ...options.settings, ...settings },
  });
  const config = await sessionConfig(local);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(expert.openSession(config), {
      code: "RESOURCE_EXHAUSTED",
      details: refusal("max_sessions").details,
    });
  }
  await expert.close();
});

Deno.test("a job of two waves that loses one of them needs room for one", async () => {
  const start = async () => {
    const limits = { maxSessions: 3 };
    const worker = await startWorkerServer({ expert: local, listen: "127.0.0.1:0", limits });
    await worker.ready;
    return worker;
  };
  await using goes = await start();
  await using stays = await start();
  const expert = await openReplicatedExpert({
    name: "affine",
    directory: new StaticReplicas([goes.address, stays.address]),
    connect: connectWorkers(),
    parkMs: 4_000,
  });
  const config = await sessionConfig(local);
  const stranger = await connectExpert(stays.address);
  const held = [
    await stranger.openSession({ ...config, job: "one" }),
    await stranger.openSession({ ...config, job: "other" }),
  ];
  const ours = { ...config, job: "ours", jobSessions: 2 };
  const waves = [await expert.openSession(ours), await expert.openSession(ours)];
  assert.equal(goes.status().sessions, 2);
  await waves[1]!.close();
  const stopped = goes.stop();
  const hiddenStates = latentsFor(local.description, config);
  await waves[0]!.forward({ stepIndex: 0, first, last: first, hiddenStates });
  assert.equal(stays.status().sessions, 3);
  for (const session of [waves[0]!, ...held]) await session.close();
  await expert.close();
  await stranger.close();
  await stopped;
});
