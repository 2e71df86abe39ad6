/** What a stranger says first on the address of a socket plane; whoever has the token is let in afterwards. @module */

import assert from "node:assert/strict";
import { closeConn, writeFully } from "../../../shared/wire/plane/conn_io.ts";
import { dialPlane } from "../../../shared/wire/plane/dial.ts";
import { randomToken, writeGreeting } from "../../../shared/wire/plane/greeting.ts";
import { startPlaneListener } from "../../../shared/wire/plane/listener.ts";
import type { FuzzTarget } from "../fuzz.ts";

export async function planeHellos(): Promise<FuzzTarget> {
  const listener = await startPlaneListener({
    unix: false,
    tcp: { hostname: "127.0.0.1", port: 0 },
  });
  const endpoint = listener.endpoints[0]!;
  assert.equal(endpoint.kind, "tcp");
  const token = randomToken();
  const connect = () => Deno.connect({ hostname: endpoint.hostname, port: endpoint.port });
  return {
    name: "plane-hellos",
    seeds: [await helloBytes(token)],
    async feed(bytes) {
      const expected = listener.expect(token);
      const conn = await connect();
      await writeFully(conn, bytes).catch(() => {});
      await conn.closeWrite().catch(() => {});
      // Whom the listener does not let in hears nothing but the end, as soon as the hello is known to be wrong.
      const hungUp = new Response(conn.readable).bytes().then(() => {}, () => {});
      const letIn = await Promise.race([expected.connection, hungUp]);
      expected.cancel();
      await expected.connection.catch(() => {});
      if (!letIn) return "refused";
      closeConn(letIn.conn);
      await hungUp;
      assert.deepEqual(bytes.subarray(32, 48), token, "a hello without the token was let in");
      return "taken";
    },
    async feedGood() {
      const expected = listener.expect(token);
      const [{ conn }, accepted] = await Promise.all([
        dialPlane(endpoint, token, 5000),
        expected.connection,
      ]);
      closeConn(conn);
      closeConn(accepted.conn);
    },
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

async function helloBytes(token: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  listener.close();
  const reading = new Response(server.readable).bytes();
  await writeGreeting(client, "hello", [token, randomToken()]);
  closeConn(client);
  return await reading;
}
