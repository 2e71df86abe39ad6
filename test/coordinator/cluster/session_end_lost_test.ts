import assert from "node:assert/strict";
import { ServerDuplexStreamImpl } from "@grpc/grpc-js/build/src/server-call.js";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { sessionConfig } from "../../support/expert_inputs.ts";

Deno.test("closing a session ends also where the end of its stream is lost, and the connection is well", async () => {
  await using worker = await startWorkerServer({
    ...{ expert: new AffineExpert(), listen: "127.0.0.1:0" },
  });
  await worker.ready;
  const expert = await connectExpert(worker.address);
  const session = await expert.openSession(await sessionConfig(expert));
  const stream = ServerDuplexStreamImpl.prototype;
  const { end } = stream;
  // What was to end the stream never comes, as after a bit of its frame was turned.
  stream.end = function () {
    return this;
  };
  try {
    // It would wait for ever otherwise.
    await session.close();
    assert.equal((await readWorkerStatus(worker.address)).sessions, 0);
  } finally {
    stream.end = end;
  }
  await expert.close();
});
