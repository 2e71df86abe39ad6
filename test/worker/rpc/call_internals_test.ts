import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import { forgetReceived, resetCall } from "../../../worker/rpc/call_internals.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

const PATH = "/test.Test/Talk";
const same = (bytes: Buffer) => bytes;

/** A method whose messages are bytes. */
async function withCall(
  handler: (call: Call) => void,
  talk: (client: Client) => Promise<void>,
): Promise<void> {
  const server = new Server();
  const codec = { requestSerialize: same, requestDeserialize: same } as const;
  const answers = { responseSerialize: same, responseDeserialize: same } as const;
  const method = { path: PATH, requestStream: true, responseStream: true, ...codec, ...answers };
  server.addService({ Talk: method }, { Talk: handler });
  const port = await new Promise<number>((resolve, reject) => {
    const host = "127.0.0.1:0";
    server.bindAsync(host, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    await talk(client);
  } finally {
    client.close();
    server.forceShutdown();
  }
}

// If these fail after an upgrade of grpc-js: look for official ways first, then for where its private fields went.
Deno.test("forgetReceived() drops what came, and nothing of what comes", async () => {
  const sizes = [300_000, 1, 500_000, 0, 70_000];
  const came: Buffer[] = [];
  const kept: number[] = [];
  const handler = (call: Call) => {
    call.on("data", (message: Buffer) => {
      came.push(message);
      assert.equal(forgetReceived(call), true);
      const { decoder } = (call as unknown as {
        call: { decoder: { readPartialMessage: Buffer[]; readMessageRemaining: number } };
      }).call;
      if (decoder.readMessageRemaining === 0) kept.push(decoder.readPartialMessage.length);
    });
    call.on("end", () => call.end());
  };
  await withCall(handler, async (client) => {
    const stream = client.makeBidiStreamRequest(PATH, same, same);
    for (const [i, size] of sizes.entries()) stream.write(Buffer.alloc(size, i));
    stream.end();
    stream.resume();
    await new Promise((resolve) => stream.on("status", resolve));
  });
  assert.deepEqual(came, sizes.map((size, i) => Buffer.alloc(size, i)));
  assert.ok(kept.length > 0 && kept.every((chunks) => chunks === 0));
});

Deno.test("resetCall() ends a call at once", async () => {
  const handler = (call: Call) => {
    call.on("error", () => {});
    call.write(Buffer.alloc(1_000_000));
    call.on("data", () => assert.equal(resetCall(call), true));
  };
  await withCall(handler, async (client) => {
    const stream = client.makeBidiStreamRequest(PATH, same, same);
    stream.on("error", () => {});
    const ended = new Promise<{ code: number }>((resolve) => stream.on("status", resolve));
    stream.write(Buffer.alloc(1));
    stream.resume();
    assert.equal((await ended).code, status.CANCELLED);
  });
});

Deno.test("without the private fields of grpc-js nothing is forgotten or reset", () => {
  assert.equal(forgetReceived({} as Call), false);
  assert.equal(resetCall({} as Call), false);
});
