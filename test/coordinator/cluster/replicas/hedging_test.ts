import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import type {
  Hedged,
  ReplicaEvent,
} from "../../../../coordinator/cluster/replicas/replica_events.ts";
import type { Expert, SessionConfig } from "../../../../shared/engine/expert.ts";
import { copyTensor, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { AFFINE_BLOCKS, AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { QUICK, ReplicaFleet } from "../../../support/replica_fleet.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { turns } from "../../../support/turns.ts";

const BLOCKS = AFFINE_BLOCKS.map(({ id }) => id);
/** Enough steps to know what is usual, and the one in which it is not. */
const STEPS = 12, SLOW_STEP = 10;

async function configOf(expert: Expert): Promise<SessionConfig> {
  const timesteps = Array.from({ length: STEPS }, (_, i) => 900 - 50 * i);
  return { ...await sessionConfig(expert), timesteps };
}

async function run(expert: Expert, config: SessionConfig): Promise<F32Tensor> {
  const session = await expert.openSession(config);
  let hiddenStates = latentsFor(expert.description, config);
  for (const stepIndex of config.timesteps.keys()) {
    for (const block of BLOCKS) {
      const range = { stepIndex, first: block, last: block, hiddenStates };
      const result = await session.forward(range);
      hiddenStates = copyTensor(result.hiddenStates);
      for (const [i, value] of hiddenStates.data.entries()) {
        hiddenStates.data[i] = 0.5 * value + 0.25;
      }
    }
  }
  await session.close();
  return hiddenStates;
}

/** A worker that gets a range of the slow step: what it does, by whether it is the first that is asked. */
interface Behaviour {
  readonly first: (fleet: ReplicaFleet, address: string, signal?: AbortSignal) => Promise<void>;
  readonly second?: (fleet: ReplicaFleet, address: string, signal?: AbortSignal) => Promise<void>;
}

interface Played {
  readonly latents: F32Tensor;
  readonly events: readonly ReplicaEvent[];
  readonly hedged: readonly Hedged[];
  /** Sessions that each worker was asked for, and how many are open at the end. */
  readonly opened: number;
  readonly left: number;
  /** Of the block that was slow: workers that were asked for it, in order. */
  readonly asked: readonly string[];
}

async function play(block: string, { first, second }: Behaviour, hedge = true): Promise<Played> {
  const experts = [new AffineExpert(), new AffineExpert()];
  const fleet = new ReplicaFleet({ "w0:1": experts[0]!, "w1:1": experts[1]! });
  const asked: string[] = [];
  fleet.fault = async ({ method, address, stepIndex, ...call }, signal) => {
    if (method !== "forward" || stepIndex !== SLOW_STEP || call.block !== block) return;
    const count = asked.push(address);
    if (count === 1) await first(fleet, address, signal);
    if (count === 2) await second?.(fleet, address, signal);
  };
  const options = fleet.options({
    hedge,
    // Never late, and asked for help only in the slow step, however busy this machine is.
    settings: { ...QUICK, deadlineFloorMs: 120_000, hedgeFloorMs: 100 },
  });
  const expert = await openReplicatedExpert(options);
  const latents = await run(expert, await configOf(expert));
  await expert.close();
  const { events } = fleet;
  const hedged = events.filter((event) =>
    event.kind === "hedged" && event.block === block
  ) as Hedged[];
  const opened = fleet.calls.filter(({ method }) => method === "openSession").length;
  const left = experts.reduce((sum, { openSessions }) => sum + openSessions, 0);
  return { latents, events, hedged, opened, left, asked };
}

const undisturbed = async () => {
  const expert = new AffineExpert();
  return await run(expert, await configOf(expert));
};
/** Until it is cancelled. */
const forever = (_fleet: ReplicaFleet, _address: string, signal?: AbortSignal) =>
  delay(120_000, signal);

Deno.test("a replica that takes longer than usual is overtaken, to the same bits and without a loss", async () => {
  const expected = await undisturbed();
  for (const block of ["IN00", "IN05", "M00", "OUT00", "OUT06", "OUT11"]) {
    const { latents, events, hedged, left, asked } = await play(block, { first: forever });
    assert.deepEqual(latents, expected, block);
    assert.deepEqual(hedged.map(({ won, stepIndex }) => [won, stepIndex]), [[true, SLOW_STEP]]);
    assert.deepEqual([hedged[0]!.worker, hedged[0]!.spare], asked);
    assert.deepEqual(events.filter(({ kind }) => kind !== "hedged"), []);
    assert.equal(left, 0);
  }
});

Deno.test("a spare that is slower still is cancelled, and the session stays where it is", async () => {
  const cancelled = Promise.withResolvers<void>();
  const spareAsked = Promise.withResolvers<void>();
  const { latents, events, hedged, left } = await play("OUT03", {
    first: () => spareAsked.promise,
    second: async (_fleet, _address, signal) => {
      spareAsked.resolve();
      await delay(120_000, signal).catch((error) => {
        cancelled.resolve();
        throw error;
      });
    },
  });
  await cancelled.promise;
  assert.deepEqual(latents, await undisturbed());
  assert.deepEqual(hedged.map(({ won }) => won), [false]);
  assert.deepEqual(events.filter(({ kind }) => kind !== "hedged"), []);
  assert.equal(left, 0);
});

Deno.test("a spare that is lost leaves the first replica its time", async () => {
  const spareLost = Promise.withResolvers<void>();
  const { latents, events, hedged } = await play("OUT03", {
    first: () => spareLost.promise,
    // deno-lint-ignore require-await
    second: async (fleet, address) => {
      spareLost.resolve();
      fleet.kill(address);
    },
  });
  assert.deepEqual(latents, await undisturbed());
  assert.deepEqual(hedged.map(({ won }) => won), [false]);
  assert.deepEqual(events.filter(({ kind }) => kind === "failover"), []);
});

Deno.test("a first replica that is lost meanwhile counts as lost, and the spare's answer is taken", async () => {
  const spareAsked = Promise.withResolvers<void>();
  const { latents, events, asked } = await play("IN07", {
    first: async (fleet, address) => {
      await spareAsked.promise;
      fleet.kill(address);
    },
    second: async (fleet) => {
      spareAsked.resolve();
      await eventually(() => fleet.down.size > 0);
      await turns();
    },
  });
  assert.deepEqual(latents, await undisturbed());
  assert.equal(asked.length, 2);
  const told = events.filter((event) => event.kind !== "hedged" || event.block === "IN07");
  assert.deepEqual(told.map(({ kind }) => kind), ["hedged", "lost", "failover"]);
});

Deno.test("the waiting spare takes over from a replica that is killed", async () => {
  const { latents, events, opened } = await play("OUT08", {
    // deno-lint-ignore require-await
    first: async (fleet, address) => fleet.kill(address),
  });
  assert.deepEqual(latents, await undisturbed());
  assert.ok(events.some(({ kind }) => kind === "failover"));
  assert.equal(opened, 2);
});

Deno.test("without --hedge no second replica is asked, and no session waits on one", async () => {
  const { latents, events, opened } = await play("OUT08", { first: () => delay(300) }, false);
  assert.deepEqual(latents, await undisturbed());
  assert.deepEqual(events, []);
  assert.equal(opened, 1);
});
