import assert from "node:assert/strict";
import { parseSockets, tcpSockets } from "./socket_table.ts";

Deno.test("parseSockets() reads addresses, ports and states", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1B58 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1
   1: 0100560A:C350 0200560A:1B9E 01 00000000:00000000 00:00000000 00000000     0 0 2
   2: 0100560A:C351 0200560A:1B9E 06 00000000:00000000 00:00000000 00000000     0 0 3
`;
  assert.deepEqual(parseSockets(table), [
    {
      local: { address: "127.0.0.1", port: 7000 },
      remote: { address: "0.0.0.0", port: 0 },
      state: "listen",
    },
    {
      local: { address: "10.86.0.1", port: 50000 },
      remote: { address: "10.86.0.2", port: 7070 },
      state: "established",
    },
    {
      local: { address: "10.86.0.1", port: 50001 },
      remote: { address: "10.86.0.2", port: 7070 },
      state: "other",
    },
  ]);
});

Deno.test({
  name: "tcpSockets() finds a listener of this process",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const sockets = await tcpSockets(Deno.pid);
    assert.ok(
      sockets.some(({ local, state }) => state === "listen" && local.port === listener.addr.port),
    );
  },
});
