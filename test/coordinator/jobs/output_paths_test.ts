import assert from "node:assert/strict";
import { checkOut, imageNames, outputPaths } from "../../../coordinator/jobs/output_paths.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("outputPaths() takes a .png, .jpg or .webp for the file itself, and numbers several", async () => {
  assert.deepEqual(await outputPaths("a/b.png", ["x"]), ["a/b.png"]);
  assert.deepEqual(await outputPaths("a/b.PNG", ["x", "y"]), ["a/b-1.PNG", "a/b-2.PNG"]);
  for (const path of ["a/b.jpg", "a/b.JPEG", "a/b.webp"]) {
    assert.deepEqual(await outputPaths(path, ["x"]), [path]);
  }
  const place = { before: 2, total: 3 };
  assert.deepEqual(await outputPaths("a/b.png", ["x"], place), ["a/b-3.png"]);
});

Deno.test("outputPaths() names files in a folder by seed, and never one that is there", async () => {
  await using folder = await tempFolder();
  const path = (name: string) => folder.join(name);
  const seeds = imageNames([1n, 2n ** 64n - 1n]);
  const names = ["tutti-1.png", "tutti-18446744073709551615.png"];
  assert.deepEqual(await outputPaths(folder.path, seeds), names.map(path));
  await Deno.writeTextFile(path("tutti-1.png"), "");
  await Deno.writeTextFile(path("tutti-1-2.png"), "");
  assert.deepEqual(await outputPaths(folder.path, ["tutti-1"]), [path("tutti-1-3.png")]);
  // A folder that is not there yet is made when the image is written.
  assert.deepEqual(await outputPaths(path("new"), ["a"]), [folder.join("new", "a.png")]);
});

Deno.test("imageNames() tell pictures of several prompts apart, by names that every system takes", () => {
  const name = (prompt: string, index = 2, count = 12) =>
    imageNames([7n], { prompt, index, count })[0];
  assert.equal(name("A (castle:1.2) at dawn, [people]"), "03-a-castle-1-2-at-dawn-people-7");
  assert.equal(name("../../etc/passwd"), "03-etc-passwd-7");
  assert.equal(name("ein Schloß im Frühling"), "03-ein-schloß-im-frühling-7");
  assert.equal(name("word ".repeat(100)), `03-${"word-".repeat(8)}7`);
  assert.deepEqual(["", "!!", "x".repeat(300)].map((prompt) => name(prompt, 0, 3)), [
    ...["1-7", "1-7", "1-7"],
  ]);
  assert.deepEqual(imageNames([7n, 8n], { prompt: "a", index: 0, count: 1 }), ["1-a-7", "1-a-8"]);
});

Deno.test("checkOut() makes the folder, leaves nothing in it, and refuses what cannot be written", async () => {
  await using folder = await tempFolder();
  const files = async (path: string) =>
    (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
  await checkOut(folder.join("a", "b"), "folder");
  await checkOut(folder.join("c", "d.png"), "image or folder");
  await checkOut(folder.join("e.png"), "folder");
  assert.deepEqual(await files(folder.path), ["a", "c", "e.png"]);
  assert.deepEqual([await files(folder.join("a", "b")), await files(folder.join("c"))], [[], []]);

  await Deno.writeTextFile(folder.join("file"), "");
  await assert.rejects(checkOut(folder.join("x.gif"), "image or folder"), {
    name: "UsageError",
    message:
      /^--out must be a folder or end in \.png, \.jpg, \.jpeg, \.webp: current value is ".*x\.gif"$/,
  });
  assert.ok(!(await files(folder.path)).includes("x.gif"));
  // A folder that has such a name is one.
  await Deno.mkdir(folder.join("y.gif"));
  await checkOut(folder.join("y.gif"), "image or folder");
  const cases = [
    [folder.join("file"), "folder"],
    [folder.join("file", "x.png"), "image or folder"],
    [folder.join("e.png"), "image or folder"],
    ["/proc/none", "folder"],
  ] as const;
  for (const [out, kind] of cases) {
    await assert.rejects(checkOut(out, kind), ({ name, message }: Error) => {
      assert.equal(name, "FormatError");
      assert.ok(message.startsWith(`Cannot write to --out "${out}": `), message);
      assert.match(message, /\. Choose another --out$/);
      return true;
    });
  }
});
