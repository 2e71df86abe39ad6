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
