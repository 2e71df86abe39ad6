import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { closeChannel } from "../../../coordinator/cluster/close_channel.ts";
import { turns } from "../../support/turns.ts";

const OPTIONS = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_channelz": 0 };
const same = (bytes: Buffer) => bytes;

/** A client with a call that waits for the connection, and how that ends. */
function calling(port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), OPTIONS);
  const ended = new Promise<number>((resolve) => {
    const onEnd = (error: ServiceError | null) => resolve(error?.code ?? status.OK);
    client.makeUnaryRequest("/test.Test/Ask", same, same, Buffer.alloc(0), onEnd);
  });
  return { client, ended };
}

// If these fail after an upgrade of grpc-js: see whether it ends its timers by now, then where its private fields went. That no
// timer and no connection outlives a test is checked by Deno.
Deno.test("closeChannel() ends a client while it looks up its address, begins to connect or connects", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (let count = 0; count < 5; count++) {
    const { client, ended } = calling(listener.addr.port);
    await turns(count);
    assert.equal(closeChannel(client), true);
    assert.equal(await ended, status.UNAVAILABLE);
    await turns();
  }
});

Deno.test("closeChannel() hangs up on a server that has not said a word", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { client, ended } = calling(listener.addr.port);
  using conn = await listener.accept();
  const bytes = new Uint8Array(1_000);
  assert.ok(await conn.read(bytes), "the client begins to speak HTTP/2");
  assert.equal(closeChannel(client), true);
  assert.equal(await ended, status.UNAVAILABLE);
  // It may say goodbye.
  while (await conn.read(bytes).catch(() => null) !== null);
});

Deno.test("closeChannel() ends the pause after a refused connection, and no attempt follows", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const { client, ended } = calling(port);
  assert.equal(await ended, status.UNAVAILABLE);
  assert.equal(closeChannel(client), true);
});

Deno.test("closeChannel() closes a client without the private fields of grpc-js, too", () => {
  let closes = 0;
  const client = { getChannel: () => ({}), close: () => closes++ } as unknown as Client;
  assert.equal(closeChannel(client), false);
  assert.equal(closes, 1);
});
