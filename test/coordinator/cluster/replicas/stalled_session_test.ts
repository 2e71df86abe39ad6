import assert from "node:assert/strict";
import { delay } from "../../../../coordinator/cluster/delay.ts";
import { connectWorkers } from "../../../../coordinator/cluster/replicas/replica_connection.ts";
import { StaticReplicas } from "../../../../coordinator/cluster/replicas/replica_directory.ts";
import type {
  ReplicaEvent,
  ReplicaLost,
} from "../../../../coordinator/cluster/replicas/replica_events.ts";
import { openReplicatedExpert } from "../../../../coordinator/cluster/replicas/replicated_expert.ts";
import { copyTensor } from "../../../../shared/tensor/tensor.ts";
import { parseAddress } from "../../../../shared/wire/address.ts";
import { KEEPALIVE_MS } from "../../../../shared/wire/limits.ts";
import type { PlaneKind } from "../../../../shared/wire/plane/plane_kind.ts";
import { startWorkerServer } from "../../../../worker/rpc/server.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../../support/expert_inputs.ts";
import { type LinkedConnection, LinkProxy } from "../../../support/link_proxy.ts";
import { turns } from "../../../support/turns.ts";

interface Play {
  readonly plane: PlaneKind;
  /** What happens to the session's connection before its first range. */
  readonly fault?: (connection: LinkedConnection) => void;
  /** How long the worker computes that range. */
  readonly computeMs?: number;
}

/** The first range of a session, of which nobody knows how long it takes. */
async function play({ plane, fault, computeMs = 0 }: Play): Promise<ReplicaEvent[]> {
  const served = new AffineExpert({ beforeBlock: (_, signal) => delay(computeMs, signal) });
  await using worker = await startWorkerServer({ expert: served, listen: "127.0.0.1:0" });
  await worker.ready;
  const { host: hostname, port } = parseAddress(worker.address);
  await using proxy = new LinkProxy({ server: { hostname, port } });
  const events: ReplicaEvent[] = [];
  const expert = await openReplicatedExpert({
    name: "affine",
    directory: new StaticReplicas([proxy.address]),
    connect: connectWorkers({ plane }),
    onEvent: (event) => events.push(event),
  });
  const config = await sessionConfig(served);
  const session = await expert.openSession(config);
  // The second one is that of heartbeats.
  const [connection] = proxy.connections;
  await allPassed(connection!);
  fault?.(connection!);
  const range = { stepIndex: 0, first: "IN00", last: "IN00" };
  const hiddenStates = latentsFor(served.description, config);
  const output = copyTensor((await session.forward({ ...range, hiddenStates })).hiddenStates);
  const expected = await served.openSession(config);
  assert.deepEqual(output, (await expected.forward({ ...range, hiddenStates })).hiddenStates);
  await expected.close();
  proxy.cut();
  await session.close();
  await expert.close();
  return events;
}

/** What was said so far has then been passed on, and counted. Worker, proxy and client are all in this process. */
async function allPassed(connection: LinkedConnection): Promise<void> {
  const total = () => connection.passedBytes.toServer + connection.passedBytes.toClient;
  for (let before = -1; before !== total();) {
    before = total();
    await turns(50);
  }
}

function checkNoticed(events: readonly ReplicaEvent[]): void {
  assert.deepEqual(events.map(({ kind }) => kind), ["lost", "failover"]);
  const { reason, message, detectMs } = events[0] as ReplicaLost;
  assert.equal(reason, "stalled");
  assert.match(message, /while computing block "IN00" in step 0: .* nothing to do for this/);
  // About 2 s, and never as long as what noticed it before.
  assert.ok(detectMs < KEEPALIVE_MS / 2, `noticed after ${detectMs} ms`);
}

for (const plane of ["grpc", "shm"] as const) {
  Deno.test(`the first answer of a session is missed when it is lost on the way, over ${plane}`, async () => {
    const fault = (connection: LinkedConnection) =>
      connection.plan("toClient", { kind: "drop", atByte: connection.passedBytes.toClient });
    checkNoticed(await play({ plane, fault }));
  });
}

Deno.test("the first command of a session is missed when it is lost on the way", async () => {
  const fault = (connection: LinkedConnection) =>
    connection.plan("toServer", { kind: "drop", atByte: connection.passedBytes.toServer });
  checkNoticed(await play({ plane: "grpc", fault }));
});

Deno.test("an answer is missed when a bit of its frame's stream was turned, so that nobody gets it", async () => {
  // A frame's head ends with the stream's number: of the session's, 3, it makes that of a call that has ended, 1.
  const fault = (connection: LinkedConnection) => {
    const atByte = connection.passedBytes.toClient + 8;
    connection.plan("toClient", { kind: "flip", atByte, bit: 1 });
  };
  checkNoticed(await play({ plane: "shm", fault }));
});

Deno.test("a first range that takes longer than any silence is waited for while it is computed", async () => {
  assert.deepEqual(await play({ plane: "grpc", computeMs: 4_000 }), []);
});
