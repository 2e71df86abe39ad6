import assert from "node:assert/strict";
import type { PlaneListener } from "../../../shared/wire/plane/listener.ts";
import { SHARED_MEMORY_FOLDER } from "../../../shared/wire/plane/shared_memory.ts";
import { OfferedPlanes, PlaneHost } from "../../../worker/plane/plane_host.ts";
import { connPair } from "../../shared/wire/plane/conn_pair.ts";
import { turns } from "../../support/turns.ts";

/** Regions of this process that have a name. */
const regions = () =>
  [...Deno.readDirSync(SHARED_MEMORY_FOLDER)]
    .filter(({ name }) => name.startsWith(`tutti-${Deno.pid}-`)).length;

Deno.test({
  name: "an offer that fails leaves no region",
  ignore: Deno.build.os !== "linux",
}, async () => {
  const host = await PlaneHost.open({ planes: ["shm", "unix"], hostname: "127.0.0.1", port: 0 });
  const before = regions();
  const request = { planes: ["shm", "unix"], peerHost: "127.0.0.1", arenaBytes: 4096 } as const;
  {
    using offered = await host.offer(request);
    assert.deepEqual(offered.offers.map(({ plane }) => plane), ["shm", "unix"]);
    assert.equal(regions(), before + 1);
  }
  assert.equal(regions(), before);
  await host.close();
  await assert.rejects(host.offer(request), { code: "UNAVAILABLE" });
  assert.equal(regions(), before);
});

Deno.test("a connection that broke before its session let go of it disturbs nobody", async () => {
  using pair = await connPair();
  pair.left.close();
  const connection = { kind: "unix", conn: pair.left, serverNonce: new Uint8Array(16) } as const;
  const listener = {
    expect: () => ({ connection: Promise.resolve(connection), cancel: () => {} }),
  } as Partial<PlaneListener> as PlaneListener;
  const offered = new OfferedPlanes();
  offered.addSocket(listener, { kind: "unix", path: "/nowhere" });
  offered[Symbol.dispose]();
  // An error in letting go would come up here.
  await turns();
});
