/**
 * Damaged messages on real connections to a real worker server: single calls, the first message of a session, and commands
 * within one. Each ends with a status; a good session gives the right numbers afterwards, and nothing stays open.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Client, credentials, status } from "@grpc/grpc-js";
import { workerService } from "../../../shared/wire/load_proto.ts";
import { codeFromNumber } from "../../../shared/wire/status.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { sendBytes } from "../../support/send_bytes.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";
import type { FuzzTarget, Outcome } from "../fuzz.ts";
import { mutateFields } from "../protobuf_fields.ts";
import { messageSeeds } from "./message_seeds.ts";

export async function grpcCalls(): Promise<FuzzTarget> {
  const expert = new AffineExpert();
  const served = await serveExpert(expert);
  const client = new Client(served.worker.address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const service = workerService();
  const seeds = (await messageSeeds())
    .filter(({ side }) => side === "request")
    .map(({ method, message }) => ({
      method,
      bytes: new Uint8Array(service[method]!.requestSerialize(message)),
    }));
  /** Opens the session in which damaged commands come. */
  const opening = seeds[1]!.bytes;

  const send = async (method: string, bytes: Uint8Array, seed: number): Promise<Outcome> => {
    const isCommand = method === "Session" && seed >= 2;
    const code = await sendBytes(client, method, isCommand ? [opening, bytes] : [bytes]);
    return code === status.OK ? "taken" : codeFromNumber(code);
  };

  const config = await sessionConfig(expert);
  const latents = latentsFor(expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN01", hiddenStates: latents };
  const local = await expert.openSession(config);
  const expected = new Float32Array((await local.forward(range)).hiddenStates.data);
  await local.close();
  return {
    name: "grpc-calls",
    seeds: seeds.map(({ bytes }) => bytes),
    mutate: mutateFields,
    async feed(bytes, seed) {
      const outcome = await send(seeds[seed]!.method, bytes, seed);
      // An untyped error, and a connection that broke under the call.
      const bad = [status.UNKNOWN, status.UNAVAILABLE].map(codeFromNumber);
      assert.ok(!bad.includes(outcome as typeof bad[number]), `the call ended with ${outcome}`);
      return outcome;
    },
    async feedGood() {
      const session = await served.remote.openSession(config);
      assert.deepEqual((await session.forward(range)).hiddenStates.data, expected);
      await session.close();
      await eventually(() => expert.openSessions === 0);
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await served[Symbol.asyncDispose]();
    },
  };
}
