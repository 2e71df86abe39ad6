import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import { AFFINE_BLOCKS, AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { QUICK, ReplicaFleet } from "../../../support/replica_fleet.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { turns } from "../../../support/turns.ts";

const local = new AffineExpert();

/** Longer than a worker may be silent. */
const SILENT_MS = 100_000;

for (const [name, connectMs] of [["is there", 5], ["is being made", 150]] as const) {
  Deno.test(
    `two jobs that find an idle connection dead share the new one, which ${name} when the second finds out`,
    async () => {
      const fleet = new ReplicaFleet({ "w0:1": local });
      const options = fleet.options();
      let made = 0;
      let open = 0;
      let isFirstDead = false;
      const expert = await openReplicatedExpert({
        ...options,
        connect: async (address, how) => {
          const number = made++;
          if (number > 0) await delay(connectMs);
          const connection = await options.connect(address, how);
          open++;
          return {
            ...connection,
            askLoad: async (signal) => {
              if (number === 0 && isFirstDead) await delay(SILENT_MS, signal);
              return await connection.askLoad(signal);
            },
            close: () => {
              open--;
              return connection.close();
            },
          };
        },
      });
      const config = await sessionConfig(local);
      // Nobody works, so nobody listens to its heart.
      await delay(2 * QUICK.lingerMs!);
      isFirstDead = true;
      const job = async () => {
        const session = await expert.openSession(config);
        let hiddenStates = latentsFor(local.description, config);
        for (const { id } of AFFINE_BLOCKS) {
          const range = { stepIndex: 0, first: id, last: id, hiddenStates };
          hiddenStates = (await session.forward(range)).hiddenStates;
          await delay(10);
        }
        await session.close();
      };
      await Promise.all([job(), delay(100).then(job)]);
      await expert.close();
      assert.deepEqual({ made, open, events: fleet.kinds() }, { made: 2, open: 0, events: [] });
    },
  );
}

Deno.test("a session that is closed while it moves to another worker stays open nowhere", async () => {
  const fleet = new ReplicaFleet({ "w0:1": local, "w1:1": local });
  const [moving, isClosing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let victim: string | undefined;
  fleet.fault = async ({ method, address }) => {
    if (method === "forward" && !victim) fleet.kill(victim = address);
    if (method !== "openSession" || !victim) return;
    moving.resolve();
    await isClosing.promise;
  };
  const options = fleet.options();
  let open = 0;
  const expert = await openReplicatedExpert({
    ...options,
    connect: async (address, how) => {
      const connection = await options.connect(address, how);
      const openSession: typeof connection.expert.openSession = async (config, signal) => {
        const session = await connection.expert.openSession(config, signal);
        open++;
        const close = session.close.bind(session);
        session.close = () => {
          open--;
          return close();
        };
        return session;
      };
      return { ...connection, expert: { ...connection.expert, openSession } };
    },
  });
  const config = await sessionConfig(local);
  const session = await expert.openSession(config);
  const { id: first } = AFFINE_BLOCKS[0]!;
  const hiddenStates = latentsFor(local.description, config);
  const moved = session.forward({ stepIndex: 0, first, last: first, hiddenStates });
  const refused = assert.rejects(moved, { message: "The session is closed" });
  await moving.promise;
  const closed = session.close();
  await turns();
  isClosing.resolve();
  await closed;
  await refused;
  await expert.close();
  assert.equal(open, 0);
});

Deno.test("a search for a worker ends with its expert", async () => {
  const fleet = new ReplicaFleet({ "w0:1": local });
  const expert = await openReplicatedExpert(fleet.options({ parkMs: 60_000 }));
  const config = await sessionConfig(local);
  fleet.down.add("w0:1");
  const opening = assert.rejects(expert.openSession(config), { code: "CANCELLED" });
  await eventually(() => fleet.kinds().includes("parked"));
  await expert.close();
  await opening;
});
