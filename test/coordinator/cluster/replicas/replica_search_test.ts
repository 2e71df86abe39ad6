import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { StaticReplicas } from "../../../../coordinator/cluster/replicas/replica_directory.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import { TuttiError, WorkerError } from "../../../../shared/errors.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { copyTensor } from "../../../../shared/tensor/tensor.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { QUICK, ReplicaFleet } from "../../../support/replica_fleet.ts";
import { turns } from "../../../support/turns.ts";

function fleetOf(...addresses: string[]): ReplicaFleet {
  return new ReplicaFleet(
    Object.fromEntries(addresses.map((address) => [address, new AffineExpert()])),
  );
}

Deno.test("work parks when the last replica is lost, says so once, and goes on when it is back", async () => {
  const fleet = fleetOf("a:1");
  const expert = await openReplicatedExpert(fleet.options());
  const expected = await expert.embedTimesteps([1, 2]);
  fleet.down.add("a:1");
  const back = eventually(() => fleet.kinds().includes("parked"))
    .then(() => void fleet.down.delete("a:1"));
  assert.deepEqual(await expert.embedTimesteps([1, 2]), expected);
  await back;
  assert.deepEqual(fleet.kinds().filter((kind) => kind.endsWith("parked")), ["parked", "unparked"]);
  await expert.close();
});

Deno.test("a replica that does not come back in time is a typed error that names expert, model and last loss", async () => {
  const fleet = fleetOf("a:1");
  const expert = await openReplicatedExpert(fleet.options({ parkMs: 50 }));
  fleet.down.add("a:1");
  await assert.rejects(expert.embedTimesteps([1]), (error) => {
    assert.ok(error instanceof WorkerError);
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(
      error.message,
      /^No worker serves expert "affine" \(model a{12}\).*0\.05 s: .*a:1/,
    );
    assert.deepEqual([error.details.expert, error.details.model_hash], ["affine", "a".repeat(64)]);
    return true;
  });
  await expert.close();
});

Deno.test("without park time a loss is told as it is; cancelling ends the wait", async () => {
  const fleet = fleetOf("a:1");
  const hasty = await openReplicatedExpert(fleet.options({ parkMs: 0 }));
  const patient = await openReplicatedExpert(fleet.options());
  fleet.down.add("a:1");
  await assert.rejects(hasty.embedTimesteps([1]), { message: /a:1 was lost/ });
  const waiting = new AbortController();
  const work = patient.embedTimesteps([1], waiting.signal);
  const cancelled = assert.rejects(work, { code: "CANCELLED" });
  await eventually(() => fleet.kinds().includes("parked"));
  waiting.abort();
  await cancelled;
  await hasty.close();
  await patient.close();
});

Deno.test("a worker with another model or other numerics is refused by name, and never used", async () => {
  const { fingerprint } = new AffineExpert().description;
  for (
    const [field, description] of [
      ["modelHash", { modelHash: "c".repeat(64) }],
      ["fingerprint.threads", { fingerprint: { ...fingerprint, threads: 2 } }],
    ] as const
  ) {
    const fleet = new ReplicaFleet({
      "a:1": new AffineExpert(),
      "b:1": new AffineExpert({ description }),
    });
    const expert = await openReplicatedExpert(fleet.options({ parkMs: 50 }));
    fleet.down.add("a:1");
    await assert.rejects(expert.embedTimesteps([1]), { code: "UNAVAILABLE" });
    const refusals = fleet.events.filter((event) => event.kind === "refused");
    assert.equal(refusals.length, 1);
    assert.match(
      refusals[0]!.message,
      new RegExp(`^Worker b:1 is no replica of expert "affine": ${field} must be`),
    );
    assert.ok(fleet.calls.every(({ address }) => address === "a:1"));
    await expert.close();
  }
});

Deno.test("what the request is wrong in, wrong numbers and a cancel go to no other replica", async () => {
  for (const code of ["INVALID_ARGUMENT", "DATA_LOSS", "CANCELLED", "NOT_FOUND"] as const) {
    const fleet = fleetOf("a:1", "b:1");
    const expert = await openReplicatedExpert(fleet.options());
    fleet.fault = () => {
      throw new TuttiError(code, "wrong");
    };
    await assert.rejects(expert.embedTimesteps([1]), { code, message: "wrong" });
    assert.equal(fleet.calls.length, 1, code);
    await expert.close();
  }
});

Deno.test("a broken lane is tried once on every replica; then its error is the answer", async () => {
  const fleet = fleetOf("a:1", "b:1", "c:1");
  const expert = await openReplicatedExpert(fleet.options());
  fleet.fault = () => {
    throw new TuttiError("INTERNAL", "A compute lane stopped");
  };
  await assert.rejects(expert.embedTimesteps([1]), { code: "INTERNAL" });
  assert.deepEqual(fleet.calls.map(({ address }) => address).sort(), ["a:1", "b:1", "c:1"]);
  await expert.close();
});

Deno.test("a frozen worker is given up for a spare", async () => {
  const fleet = fleetOf("a:1", "b:1");
  const expert = await openReplicatedExpert(fleet.options());
  let frozen: string | undefined;
  fleet.fault = ({ address }) => void fleet.frozen.add(frozen ??= address);
  const expected = await new AffineExpert().embedTimesteps([1]);
  assert.deepEqual(await expert.embedTimesteps([1]), expected);
  const lost = fleet.events.filter((event) => event.kind === "lost");
  assert.deepEqual(lost.map(({ worker, reason }) => [worker, reason]), [[frozen, "silent"]]);
  await expert.close();
});

Deno.test("the last worker may be silent for longer than it has time to tell its status, and is used again", async () => {
  const fleet = fleetOf("a:1");
  fleet.statusDeadlineMs = 100;
  const expert = await openReplicatedExpert(fleet.options());
  const expected = await expert.embedTimesteps([1]);
  let isFirst = true;
  fleet.fault = ({ address }) => {
    if (isFirst) fleet.frozen.add(address);
    isFirst = false;
  };
  const answer = expert.embedTimesteps([1]);
  await eventually(() => Promise.resolve(fleet.kinds().includes("lost")));
  fleet.frozen.delete("a:1");
  assert.deepEqual(await answer, expected);
  const lost = fleet.events.filter((event) => event.kind === "lost");
  assert.deepEqual(lost.map(({ reason }) => reason), ["silent"]);
  await expert.close();
});

Deno.test("a worker that was lost and is back counts as a spare, while no new work goes to it", async () => {
  const fleet = fleetOf("a:1", "b:1");
  // So long that the test would be over: the last worker gets all the patience that there is.
  const settings = { ...QUICK, connectMs: 100, lastPatience: 1_000 };
  const options = fleet.options({ settings });
  const connected: string[] = [];
  const expert = await openReplicatedExpert({
    ...options,
    connect: async (address, how) => {
      const connection = await options.connect(address, how);
      connected.push(address);
      return connection;
    },
  });
  const expected = await expert.embedTimesteps([1]);
  const lost = () => fleet.events.filter((event) => event.kind === "lost");
  const freezeNext = () => {
    let isNext = true;
    fleet.fault = ({ address }) => {
      if (isNext) fleet.frozen.add(address);
      isNext = false;
    };
  };
  freezeNext();
  assert.deepEqual(await expert.embedTimesteps([1]), expected);
  const [first] = lost();
  fleet.frozen.clear();
  connected.length = 0;

  // Work on the other one, for as long as it takes to see that the first is back.
  fleet.calls.length = 0;
  fleet.fault = async () => {
    await eventually(() => connected.includes(first!.worker));
    await turns();
  };
  assert.deepEqual(await expert.embedTimesteps([1]), expected);
  assert.ok(fleet.calls.every(({ address }) => address !== first!.worker));
  freezeNext();
  assert.deepEqual(await expert.embedTimesteps([1]), expected);
  assert.deepEqual(lost().map(({ reason }) => reason), ["silent", "silent"]);
  assert.notEqual(lost()[1]!.worker, first!.worker);
  await expert.close();
});

Deno.test("a worker that takes far longer than usual is given up for a spare, which gives the same bits", async () => {
  const fleet = fleetOf("a:1", "b:1");
  const expert = await openReplicatedExpert(fleet.options());
  const config = { ...await sessionConfig(expert), timesteps: Array.from({ length: 12 }, () => 5) };
  const hiddenStates = latentsFor(expert.description, config);
  const session = await expert.openSession(config);
  let slow: string | undefined;
  fleet.fault = async ({ method, stepIndex, address }, signal) => {
    if (method !== "forward" || stepIndex !== 11) return;
    if (address === (slow ??= address)) await delay(60_000, signal);
  };
  const results = [];
  for (const stepIndex of config.timesteps.keys()) {
    const range = { stepIndex, first: "IN00", last: "OUT11", hiddenStates };
    results.push(copyTensor((await session.forward(range)).hiddenStates));
  }
  assert.deepEqual(results[11], results[10]);
  const [failover] = fleet.events.filter((event) => event.kind === "failover");
  assert.deepEqual([failover?.from, failover?.reason], [slow, "deadline"]);
  await session.close();
  await expert.close();
});

Deno.test("an expert opens at the first replica that answers, and fails with the first one's error if none does", async () => {
  const fleet = fleetOf("a:1", "b:1");
  fleet.down.add("a:1");
  const expert = await openReplicatedExpert(fleet.options());
  await expert.embedTimesteps([1]);
  assert.deepEqual(fleet.calls.map(({ address }) => address), ["b:1"]);
  await expert.close();
  fleet.down.add("b:1");
  await assert.rejects(openReplicatedExpert(fleet.options()), { message: /a:1 was lost/ });
  const directory = new StaticReplicas([]);
  await assert.rejects(openReplicatedExpert(fleet.options({ directory })), {
    message: 'No worker is known for expert "affine"',
  });
});
