import assert from "node:assert/strict";
import { CLOSE_DEADLINE_MS } from "../../../../coordinator/cluster/deadlines.ts";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { connectWorkers } from "../../../../coordinator/cluster/replicas/replica_connection.ts";
import { StaticReplicas } from "../../../../coordinator/cluster/replicas/replica_directory.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import { copyTensor } from "../../../../shared/tensor/tensor.ts";
import { parseAddress } from "../../../../shared/wire/address.ts";
import { startWorkerServer } from "../../../../worker/rpc/server.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { LinkProxy } from "../../../support/link_proxy.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { QUICK } from "../../../support/replica_fleet.ts";

/** Other experts may still compute when one has answered and is lost: what it gave must be there when they are done. */
Deno.test("a result in shared memory stays as it is when its worker is given up before it is used", async () => {
  const served = new AffineExpert();
  await using worker = await startWorkerServer({ expert: served, listen: "127.0.0.1:0" });
  await worker.ready;
  const { host: hostname, port } = parseAddress(worker.address);
  await using proxy = new LinkProxy({ server: { hostname, port } });
  const dropped = Promise.withResolvers<unknown>();
  const connect = connectWorkers();
  const expert = await openReplicatedExpert({
    name: "affine",
    directory: new StaticReplicas([proxy.address]),
    settings: { ...QUICK, lastPatience: 1 },
    parkMs: 0,
    connect: async (address, options) => {
      const connection = await connect(address, options);
      return {
        ...connection,
        close: () => {
          const closing = connection.close();
          dropped.resolve(closing);
          return closing;
        },
      };
    },
  });
  const config = await sessionConfig(served);
  const session = await expert.openSession(config);
  const range = { stepIndex: 0, first: "IN00", last: "IN00" };
  const hiddenStates = latentsFor(served.description, config);
  const { hiddenStates: output, travel } = await session.forward({ ...range, hiddenStates });
  assert.equal(travel?.plane, "shm");
  const before = copyTensor(output);
  assert.ok(before.data.some((value) => value !== 0));
  // Nothing is heard of it any more: the heartbeat notices, and the connection is given up.
  proxy.stall();
  const longEnough = new AbortController();
  await Promise.race([dropped.promise, delay(CLOSE_DEADLINE_MS + 1000, longEnough.signal)]);
  longEnough.abort();
  assert.deepEqual(output.data, before.data);
  proxy.cut();
  await session.close();
  await expert.close();
});
