import assert from "node:assert/strict";
import { LinkProxy } from "../support/link_proxy.ts";
import { measureLinks, serveMeter } from "./link_meter.ts";

Deno.test("the meter sees no more than the link has, in each direction, and its delay", async () => {
  await using meter = serveMeter("127.0.0.1");
  const server = { hostname: "127.0.0.1", port: meter.port };
  await using proxy = new LinkProxy({
    server,
    toServer: { bytesPerSecond: 4e6, delayMs: 10 },
    toClient: { bytesPerSecond: 8e6, delayMs: 5 },
  });
  const link = { hostname: "127.0.0.1", port: proxy.port };
  const { sendBytesPerSecond, receiveBytesPerSecond, roundTripMs } = await measureLinks(
    [link],
    1e6,
  );
  assert.ok(sendBytesPerSecond > 0 && sendBytesPerSecond <= 4e6, `${sendBytesPerSecond}`);
  assert.ok(receiveBytesPerSecond > 0 && receiveBytesPerSecond <= 8e6, `${receiveBytesPerSecond}`);
  assert.ok(roundTripMs >= 15, `${roundTripMs}`);
});

Deno.test("a client that goes away leaves the meter to others", async () => {
  await using meter = serveMeter("127.0.0.1");
  const server = { hostname: "127.0.0.1", port: meter.port };
  (await Deno.connect(server)).close();
  assert.ok((await measureLinks([server, server], 1000)).roundTripMs > 0);
});
