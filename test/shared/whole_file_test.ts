import assert from "node:assert/strict";
import { join } from "node:path";
import { checkOut } from "../../coordinator/jobs/output_paths.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("what cannot be written leaves nothing beside it, and what was there stays", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(folder, "taken"));
    await assert.rejects(writeWholeFile(join(folder, "taken"), "text"));
    await writeWholeFile(join(folder, "a"), "text");
    await writeWholeFile(join(folder, "a"), Uint8Array.of(66));
    assert.deepEqual(namesIn(folder), ["a", "taken"]);
    assert.equal(await Deno.readTextFile(join(folder, "a")), "B");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a name that is no UTF-8 is refused instead of written elsewhere", async () => {
  for (const kind of ["folder", "image or folder"] as const) {
    await assert.rejects(checkOut("bilder\uFFFD/a.png", kind), /--out must be UTF-8/);
  }
});

Deno.test({
  name: "a folder on a full disk is refused, and nothing stays there",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const run = async (...args: [string, ...string[]]) =>
      (await new Deno.Command(args[0], { args: args.slice(1), stderr: "null" }).output()).success;
    if (!await run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)) {
      await Deno.remove(folder);
      return;
    }
    try {
      await Deno.writeFile(join(folder, "full"), new Uint8Array(40_000));
      await assert.rejects(checkOut(folder, "folder"), /Cannot write to --out .*No space left/);
      assert.deepEqual(namesIn(folder), ["full"]);
      await assert.rejects(writeWholeFile(join(folder, "a"), new Uint8Array(60_000)));
      assert.deepEqual(namesIn(folder), ["full"]);
    } finally {
      await run("umount", folder);
      await Deno.remove(folder);
    }
  },
});
