import assert from "node:assert/strict";
import { Client, credentials, status } from "@grpc/grpc-js";
import { backwardBlockToMessage } from "../../../shared/wire/convert_backward.ts";
import { forwardBlockToMessage } from "../../../shared/wire/convert.ts";
import { openToMessage } from "../../../shared/wire/convert_session.ts";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { NO_PLANES } from "../../support/raw_session.ts";
import { sendBytes } from "../../support/send_bytes.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";

/** Changes up to four bytes, or cuts the end off; the same at every run. */
function mutate(bytes: Uint8Array, seed: number): Uint8Array {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  if (random(4) === 0) return bytes.slice(0, random(bytes.length));
  const copy = new Uint8Array(bytes);
  // Most tags, lengths and sizes stand in the first bytes, before the tensor's data.
  for (let i = random(4); i >= 0; i--) copy[random(Math.min(copy.length, 200))] = random(256);
  return copy;
}

Deno.test("worker: 3 x 300 damaged messages end in a status, and the next good one is served", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const { modelHash } = expert.description;
  const block = {
    block: "IN00",
    hiddenStates: latentsFor(expert.description, config),
    temb: await expert.embedTimesteps([3, 3]),
    encoderHiddenStates: config.encoderHiddenStates,
  };
  // IN00 changes no shape but the channels: of the affine expert, not even those.
  const backward = { ...block, gradOutput: block.hiddenStates };
  const service = workerService();
  const good: [string, Buffer][] = [
    ["Session", service.Session!.requestSerialize(openToMessage(config, modelHash, NO_PLANES))],
    [
      "ForwardBlock",
      service.ForwardBlock!.requestSerialize(forwardBlockToMessage(block, modelHash)),
    ],
    [
      "BackwardBlock",
      service.BackwardBlock!.requestSerialize(backwardBlockToMessage(backward, modelHash)),
    ],
  ];
  const client = new Client(served.worker.address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    for (const [method, bytes] of good) {
      const seen = new Set<number>();
      for (let seed = 1; seed <= 300; seed++) {
        seen.add(await sendBytes(client, method, [mutate(bytes, seed)]));
      }
      // UNKNOWN and UNAVAILABLE would mean an untyped error, or a connection that broke.
      assert.ok(!seen.has(status.UNKNOWN) && !seen.has(status.UNAVAILABLE), [...seen].join());
      assert.ok(seen.has(status.INVALID_ARGUMENT) && seen.has(status.INTERNAL));
      assert.equal(await sendBytes(client, method, [bytes]), status.OK);
    }
  } finally {
    client.close();
  }
  await eventually(() => expert.openSessions === 0);
});
