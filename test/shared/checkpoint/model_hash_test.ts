import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { fileHash, modelHash, weightPaths } from "../../../shared/checkpoint/model_hash.ts";
import { weightTable } from "../models/key_tables.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Two folders: for models, and in place of the user's cache while the test runs. */
async function withCache(test: (folder: TempFolder, cache: string) => Promise<void>) {
  await using folder = await tempFolder();
  await using cache = await tempFolder();
  const before = Deno.env.get("XDG_CACHE_HOME");
  Deno.env.set("XDG_CACHE_HOME", cache.path);
  try {
    await test(folder, cache.join("tutti", "hashes"));
  } finally {
    if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
    else Deno.env.set("XDG_CACHE_HOME", before);
  }
}

Deno.test("fileHash() is the SHA-256 of the file's bytes, through links too", () =>
  withCache(async (folder) => {
    const path = folder.join("a.safetensors");
    await Deno.writeTextFile(path, "weights");
    await Deno.symlink(path, folder.join("link.safetensors"));
    assert.equal(await fileHash(path), sha256("weights"));
    assert.equal(await fileHash(folder.join("link.safetensors")), sha256("weights"));
  }));

Deno.test("fileHash() remembers: an entry of the cache is believed, a damaged one is not", () =>
  withCache(async (folder, cache) => {
    const path = folder.join("a.safetensors");
    await Deno.writeTextFile(path, "weights");
    await fileHash(path);
    const entries = await Array.fromAsync(Deno.readDir(cache));
    assert.equal(entries.length, 1, "one entry, no temporary file left");
    const entry = `${cache}/${entries[0]!.name}`;
    assert.equal(await Deno.readTextFile(entry), sha256("weights"));

    const marker = "5".repeat(64);
    await Deno.writeTextFile(entry, marker);
    assert.equal(await fileHash(path), marker, "read from the cache, not from the file");
    await Deno.writeTextFile(entry, "half a ha");
    assert.equal(await fileHash(path), sha256("weights"));
    assert.equal(await Deno.readTextFile(entry), sha256("weights"), "repaired");
  }));

Deno.test("fileHash() sees a change: another size, another time, another file of the same size and time", () =>
  withCache(async (folder) => {
    const path = folder.join("a.safetensors");
    await Deno.writeTextFile(path, "weights");
    assert.equal(await fileHash(path), sha256("weights"));
    await Deno.writeTextFile(path, "heavier weights");
    assert.equal(await fileHash(path), sha256("heavier weights"));

    const { mtime } = await Deno.stat(path);
    await Deno.writeTextFile(path, "HEAVIER weights");
    await Deno.utime(path, mtime!, new Date(mtime!.getTime() + 5000));
    assert.equal(await fileHash(path), sha256("HEAVIER weights"));

    await Deno.writeTextFile(folder.join("b"), "heavier WEIGHTS");
    await Deno.utime(folder.join("b"), mtime!, new Date(mtime!.getTime() + 5000));
    await Deno.rename(folder.join("b"), path);
    assert.equal(await fileHash(path), sha256("heavier WEIGHTS"), "another inode");
  }));

Deno.test("fileHash() works where no cache can be written", () =>
  withCache(async (folder, cache) => {
    const path = folder.join("a.safetensors");
    await Deno.writeTextFile(path, "weights");
    await Deno.mkdir(cache.slice(0, -"/hashes".length), { recursive: true });
    await Deno.writeTextFile(cache, "a file where the folder should be");
    assert.equal(await fileHash(path), sha256("weights"));
  }));

Deno.test("modelHash() of one file is its hash; of several, it depends on contents alone", () =>
  withCache(async (folder) => {
    const write = async (name: string, text: string) => {
      const path = folder.join(name);
      await Deno.mkdir(path.slice(0, -basename(path).length), { recursive: true });
      await Deno.writeTextFile(path, text);
      return path;
    };
    const plain = [await write("unet/weights", "U"), await write("text/weights", "T")];
    const cached = [await write("blobs/aa11", "T"), await write("blobs/bb22", "U")];
    const other = [plain[0]!, await write("text/other", "t")];
    assert.equal(await modelHash([plain[0]!]), sha256("U"));
    assert.equal(await modelHash(plain), await modelHash(plain.toReversed()));
    assert.equal(await modelHash(plain), await modelHash(cached), "other names, other order");
    assert.notEqual(await modelHash(plain), await modelHash(other));
  }));

Deno.test("weightPaths() names every file once", () => {
  const table = weightTable([["a", [1]], ["b", [1]]]);
  assert.deepEqual(weightPaths(table, table), ["/nowhere/model.safetensors"]);
  assert.deepEqual(weightPaths(), []);
});
