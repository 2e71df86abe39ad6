import assert from "node:assert/strict";
import { join } from "node:path";
import { choosePlane } from "../../../coordinator/cluster/choose_plane.ts";
import type { PlaneKind } from "../../../shared/wire/plane/plane_kind.ts";
import { createSocketPath, removeSocketPath } from "../../../shared/wire/plane/socket_folder.ts";

/** What becomes of a plane that a worker offers. @returns why it is not used */
async function tried(plane: PlaneKind, address: string): Promise<string> {
  const reasons: string[] = [];
  const offer = { plane, address, token: new Uint8Array(16), regionBytes: 0 };
  const attempt = {
    host: "127.0.0.1",
    offers: [offer],
    stream: { send: () => Promise.resolve(), receive: () => Promise.reject(new Error("none")) },
    use: () => Promise.resolve(),
    signal: new AbortController().signal,
  } as unknown as Parameters<typeof choosePlane>[1];
  const chosen = await choosePlane([plane], attempt, ({ reason }) => void reasons.push(reason));
  assert.equal(chosen, undefined);
  return reasons.join();
}

Deno.test("a worker that names another host for its tcp plane sends nobody there", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept().then(() => "connected", () => "never");
  const { port } = listener.addr;
  for (const address of [`127.0.0.1:${port}`, `localhost:${port}`, `:${port}@x`, ":0", ""]) {
    assert.match(await tried("tcp", address), /must be ":PORT", on the worker's own host/);
  }
  listener.close();
  assert.equal(await accepted, "never");
});

Deno.test("a worker that names another socket for its unix plane has nobody open it", async () => {
  const folder = await Deno.makeTempDir();
  const stranger = join(folder, "plane.sock");
  using listener = Deno.listen({ transport: "unix", path: stranger });
  const accepted = listener.accept().then(() => "connected", () => "never");
  const open = await createSocketPath();
  await Deno.chmod(join(open, ".."), 0o755);
  try {
    for (const path of [stranger, `${open}/../../${stranger}`, open, "plane.sock", "\x1b[2J"]) {
      const reason = await tried("unix", path);
      assert.match(reason, /must be a private folder's/);
      assert.ok(!reason.includes("\x1b"));
    }
  } finally {
    listener.close();
    await removeSocketPath(open);
    await Deno.remove(folder, { recursive: true });
  }
  assert.equal(await accepted, "never");
});
