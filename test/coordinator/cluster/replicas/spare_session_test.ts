import assert from "node:assert/strict";
import { ReplicaPool } from "../../../../coordinator/cluster/replicas/replica_pool.ts";
import { SpareSession } from "../../../../coordinator/cluster/replicas/spare_session.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { sessionConfig } from "../../../support/expert_inputs.ts";
import { ReplicaFleet } from "../../../support/replica_fleet.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { turns } from "../../../support/turns.ts";

Deno.test("a spare that its worker has ended, as one that idles, is not given away: another one is opened", async () => {
  const local = new AffineExpert();
  const fleet = new ReplicaFleet({ "w0:1": local, "w1:1": local });
  const options = fleet.options({ hedge: true });
  const ends: (() => void)[] = [];
  const pool = new ReplicaPool({
    ...options,
    connect: async (address, how) => {
      const connection = await options.connect(address, how);
      const openSession: typeof connection.expert.openSession = async (config, signal) => {
        const { promise: ended, resolve } = Promise.withResolvers<void>();
        ends.push(resolve);
        return { ...await connection.expert.openSession(config, signal), ended };
      };
      return { ...connection, expert: { ...connection.expert, openSession } };
    },
  });
  await pool.open();
  const [first] = pool.candidates();
  const spare = new SpareSession(pool, await sessionConfig(local));
  spare.warm(first!);
  await eventually(() => ends.length === 1);
  await turns();
  ends[0]!();
  await turns();
  assert.equal(spare.takeOpened(first!), undefined);
  spare.warm(first!);
  await eventually(() => ends.length === 2);
  await eventually(() => {
    const lease = spare.takeOpened(first!);
    if (lease) spare.end(lease);
    return lease !== undefined;
  });
  spare.close();
  await pool.close();
  assert.deepEqual(fleet.kinds(), []);
});
