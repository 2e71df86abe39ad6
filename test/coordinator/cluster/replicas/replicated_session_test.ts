import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import type { Failover } from "../../../../coordinator/cluster/replicas/replica_events.ts";
import type { Expert, SessionConfig } from "../../../../shared/engine/expert.ts";
import { copyTensor, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { AFFINE_BLOCKS, AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { type FleetCall, ReplicaFleet } from "../../../support/replica_fleet.ts";

const ALL = AFFINE_BLOCKS.map(({ id }) => [id, id] as const);
/** Skips stay inside the first two ranges; the first block of the third is a skip's reader. */
const FEW = [["IN00", "IN04"], ["IN05", "OUT03"], ["OUT04", "OUT04"], ["OUT05", "OUT11"]] as const;

type Plan = readonly (readonly [string, string])[];

/** Three steps through a session: what every range gave. What stands for aggregation is in the memory that it is wanted in. */
async function run(expert: Expert, plan: Plan, config: SessionConfig): Promise<F32Tensor[]> {
  const session = await expert.openSession(config);
  const results: F32Tensor[] = [];
  let hiddenStates = latentsFor(expert.description, config);
  for (const stepIndex of config.timesteps.keys()) {
    for (const [first, last] of plan) {
      const result = await session.forward({ stepIndex, first, last, hiddenStates });
      results.push(copyTensor(result.hiddenStates));
      const next = plan[plan.findIndex((range) => range[0] === first) + 1];
      const buffer = next && session.inputBuffer({ stepIndex, first: next[0], last: next[1] });
      hiddenStates = buffer ?? copyTensor(result.hiddenStates);
      for (const [i, value] of result.hiddenStates.data.entries()) {
        hiddenStates.data[i] = 0.5 * value + 0.25;
      }
    }
  }
  await session.close();
  return results;
}

function fleetOf(count: number): ReplicaFleet {
  return new ReplicaFleet(Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`w${i}:1`, new AffineExpert()]),
  ));
}

async function undisturbed(plan: Plan) {
  const expert = new AffineExpert();
  const config = await sessionConfig(expert);
  return { config, results: await run(expert, plan, config) };
}

for (const [name, plan] of [["one range per block", ALL], ["ranges of several", FEW]] as const) {
  Deno.test(`a session goes on to the same bits wherever its replica is lost: ${name}`, async () => {
    const { config, results } = await undisturbed(plan);
    for (const [block] of plan) {
      const fleet = fleetOf(2);
      let victim: string | undefined;
      fleet.fault = ({ method, stepIndex, address, ...call }) => {
        if (method !== "forward" || stepIndex !== 1 || call.block !== block || victim) return;
        fleet.kill(victim = address);
      };
      const expert = await openReplicatedExpert(fleet.options());
      assert.deepEqual(await run(expert, plan, config), results, block);
      const { from, worker, ...failover } = fleet.events.find(({ kind }) =>
        kind === "failover"
      ) as Failover;
      assert.equal(from, victim);
      assert.notEqual(worker, victim);
      assert.deepEqual([failover.block, failover.stepIndex, failover.reason], [
        block,
        1,
        "connection",
      ]);
      await expert.close();
    }
  });
}

Deno.test("replay computes nothing again where every skip left the worker", async () => {
  const { config } = await undisturbed(ALL);
  // Latents to begin the step with, and one input per skip that a later block takes; OUT00's own input is its range's.
  const expected = { IN00: 0, IN01: 1, IN05: 5, M00: 12, OUT00: 13, OUT06: 7, OUT11: 2 };
  for (const [block, restored] of Object.entries(expected)) {
    const fleet = fleetOf(2);
    let isKilled = false;
    fleet.fault = ({ method, stepIndex, address, ...call }) => {
      if (method !== "forward" || stepIndex !== 2 || call.block !== block || isKilled) return;
      isKilled = true;
      fleet.kill(address);
    };
    const expert = await openReplicatedExpert(fleet.options());
    await run(expert, ALL, config);
    const failover = fleet.events.find(({ kind }) => kind === "failover") as Failover;
    assert.deepEqual([failover.restored, failover.repeated], [restored, 0], block);
    // What ran before the loss ran once, and what followed ran once.
    const forwards = fleet.calls.filter(({ method }) => method === "forward");
    assert.equal(forwards.length, 3 * ALL.length + 1);
    await expert.close();
  }
});

Deno.test("several losses in one step, in steps one after another, and of the replacement while it replays", async () => {
  const { config, results } = await undisturbed(ALL);
  const returns: Promise<void>[] = [];
  const deaths = (calls: readonly Partial<FleetCall>[]) => {
    const left = [...calls];
    return (call: FleetCall) => {
      const [next] = left;
      if (
        !next || Object.entries(next).some(([key, value]) => call[key as keyof FleetCall] !== value)
      ) {
        return;
      }
      left.shift();
      fleet.down.add(call.address);
      // It comes back a moment later, as a process that a supervisor starts again.
      returns.push(delay(30).then(() => void fleet.down.delete(call.address)));
    };
  };
  const fleet = fleetOf(3);
  fleet.fault = deaths([
    { method: "forward", stepIndex: 0, block: "IN07" },
    { method: "restore", block: "IN02" },
    { method: "openSession" },
    { method: "forward", stepIndex: 0, block: "IN08" },
    { method: "forward", stepIndex: 0, block: "OUT03" },
    { method: "restore", block: "IN00" },
    { method: "forward", stepIndex: 1, block: "IN00" },
    { method: "forward", stepIndex: 2, block: "OUT11" },
  ]);
  const expert = await openReplicatedExpert(fleet.options());
  assert.deepEqual(await run(expert, ALL, config), results);
  assert.equal(fleet.events.filter(({ kind }) => kind === "lost").length, 8);
  assert.equal(fleet.events.filter(({ kind }) => kind === "failover").length, 5);
  await expert.close();
  await Promise.all(returns);
});

Deno.test("sessions of several experts lose their replicas in the same block, and share what they keep", async () => {
  const plain = [new AffineExpert(), new AffineExpert()];
  const config = await sessionConfig(plain[0]!);
  const together = async (experts: readonly Expert[]) => {
    const sessions = await Promise.all(experts.map((expert) => expert.openSession(config)));
    let hiddenStates = latentsFor(experts[0]!.description, config);
    for (const stepIndex of [0, 1]) {
      for (const [i, [first, last]] of ALL.entries()) {
        const range = { stepIndex, first, last, hiddenStates };
        const [a, b] = await Promise.all(sessions.map((session) => session.forward(range)));
        const next = ALL[i + 1];
        const buffer = next &&
          sessions[0]!.inputBuffer({ stepIndex, first: next[0], last: next[1] });
        hiddenStates = buffer ?? copyTensor(a!.hiddenStates);
        for (const [i, value] of a!.hiddenStates.data.entries()) {
          hiddenStates.data[i] = (value + b!.hiddenStates.data[i]!) / 3;
        }
      }
    }
    for (const session of sessions) await session.close();
    return hiddenStates;
  };
  const expected = copyTensor(await together(plain));
  for (const block of ["IN01", "IN11", "M00", "OUT05", "OUT11"]) {
    const fleets = [fleetOf(2), fleetOf(2)];
    for (const fleet of fleets) {
      let isKilled = false;
      fleet.fault = ({ method, stepIndex, address, ...call }) => {
        if (method !== "forward" || stepIndex !== 1 || call.block !== block || isKilled) return;
        isKilled = true;
        fleet.kill(address);
      };
    }
    const experts = await Promise.all(
      fleets.map((fleet) => openReplicatedExpert(fleet.options())),
    );
    assert.deepEqual(await together(experts), expected, block);
    for (const fleet of fleets) assert.ok(fleet.kinds().includes("failover"));
    for (const expert of experts) await expert.close();
  }
});

Deno.test("the way back goes on to the same bits: forward again, then from the last block", async () => {
  const there = async (expert: Expert) => {
    const config = { ...await sessionConfig(expert), keepInputs: true };
    const session = await expert.openSession(config);
    let hiddenStates = latentsFor(expert.description, config);
    for (const [first, last] of FEW) {
      const result = await session.forward({ stepIndex: 0, first, last, hiddenStates });
      hiddenStates = copyTensor(result.hiddenStates);
    }
    const gradients: F32Tensor[] = [];
    let gradOutput = hiddenStates;
    for (const [first, last] of FEW.toReversed()) {
      const result = await session.backward!({ stepIndex: 0, first, last, gradOutput });
      gradOutput = copyTensor(result.gradHiddenStates);
      gradients.push(gradOutput, ...[...result.gradResiduals.values()].map(copyTensor));
    }
    await session.close();
    return gradients;
  };
  const expected = await there(new AffineExpert());
  for (const [block] of FEW) {
    const fleet = fleetOf(2);
    let isKilled = false;
    fleet.fault = ({ method, address, ...call }) => {
      if (method !== "backward" || call.block !== block || isKilled) return;
      isKilled = true;
      fleet.kill(address);
    };
    const expert = await openReplicatedExpert(fleet.options());
    assert.deepEqual(await there(expert), expected, block);
    assert.ok(isKilled);
    await expert.close();
  }
});
