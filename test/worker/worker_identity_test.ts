import assert from "node:assert/strict";
import { advertisedAddress } from "../../worker/listen_address.ts";
import { takeIdentity } from "../../worker/worker_identity.ts";
import { tempFolder } from "../support/temp_folder.ts";

Deno.test("takeIdentity() gives a worker its id again, and no other worker that runs", async () => {
  await using folder = await tempFolder();
  const ids: string[] = [];
  {
    using first = await takeIdentity(folder.path, "my photo/v1");
    using second = await takeIdentity(folder.path, "my photo/v1");
    using other = await takeIdentity(folder.path, "anime");
    ids.push(first.id, second.id, other.id);
  }
  assert.equal(new Set(ids).size, 3);
  for (const id of ids) assert.match(id, /^[0-9a-f]{16}$/);
  using first = await takeIdentity(folder.path, "my photo/v1");
  using second = await takeIdentity(folder.path, "my photo/v1");
  assert.deepEqual([first.id, second.id], ids.slice(0, 2));
  await Deno.writeTextFile(folder.join("identities", "anime.0"), "not an id\n");
  using other = await takeIdentity(folder.path, "anime");
  assert.notEqual(other.id, ids[2]);
  assert.equal(await Deno.readTextFile(folder.join("identities", "anime.0")), `${other.id}\n`);
});

Deno.test("takeIdentity() says which folder it cannot use", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(folder.join("file"), "");
  await assert.rejects(
    takeIdentity(folder.join("file"), "photo"),
    /^TuttiError: Folder ".*\/file\/identities", where this worker's id is kept, cannot be used: .*--state$/,
  );
});

Deno.test("advertisedAddress() is where others can connect to, or an error", () => {
  assert.equal(advertisedAddress("10.0.0.5:7070", undefined), "10.0.0.5:7070");
  assert.equal(advertisedAddress("0.0.0.0:7071", "gpu-1:7070"), "gpu-1:7070");
  assert.equal(advertisedAddress("[::]:7071", "[fd00::1]:0"), "[fd00::1]:7071");
  for (const listening of ["0.0.0.0:7070", "[::]:7070", "[0:0::0]:7070"]) {
    assert.throws(
      () => advertisedAddress(listening, undefined),
      /--nats needs --advertise HOST:PORT/,
    );
  }
  assert.throws(
    () => advertisedAddress("10.0.0.5:1", "0.0.0.0:7070"),
    /current value is "0\.0\.0\.0:7070"/,
  );
  assert.throws(() => advertisedAddress("10.0.0.5:1", "gpu-1"), /must be HOST:PORT/);
});
