import assert from "node:assert/strict";
import { readRecords } from "../../../../coordinator/training/dataset/records.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

Deno.test("readRecords() reads JSON lines, paths relative to the file", async () => {
  await using temp = await tempFolder();
  const file = temp.join("data.jsonl");
  await Deno.writeTextFile(
    file,
    '\uFEFF{"image_file": "a/1.png", "text": "one"}\n\n{"image_file": "/abs/2.png", "text": "", "x": 1}\n',
  );
  assert.deepEqual((await readRecords(file)).records, [
    { imagePath: temp.join("a/1.png"), text: "one" },
    { imagePath: "/abs/2.png", text: "" },
  ]);
});

Deno.test("readRecords() names the line that is no record", async () => {
  await using temp = await tempFolder();
  const file = temp.join("data.jsonl");
  for (const bad of ['{"image_file": "a"}', "null", "[]", "{", '{"image_file": 1, "text": "x"}']) {
    await Deno.writeTextFile(file, `{"image_file": "a.png", "text": "x"}\n${bad}\n`);
    await assert.rejects(readRecords(file), { name: "FormatError", message: /data\.jsonl:2: / });
  }
});

Deno.test("readRecords() reads a folder by name, and tells of images without a caption", async () => {
  await using temp = await tempFolder();
  const write = (name: string, text = "") => Deno.writeTextFile(temp.join(name), text);
  await write("b.PNG");
  await write("b.txt", " two\n");
  await write("a.jpg");
  await write("a.txt", "one");
  await write("lonely.png");
  await write("odd.png");
  await Deno.mkdir(temp.join("odd.txt"));
  await write("notes.md");
  const { records, skipped } = await readRecords(temp.path);
  assert.deepEqual(records, [
    { imagePath: temp.join("a.jpg"), text: "one" },
    { imagePath: temp.join("b.PNG"), text: "two" },
  ]);
  assert.deepEqual(
    skipped.map(({ path }) => path),
    ["lonely.png", "odd.png"].map((name) => temp.join(name)),
  );
  assert.match(skipped[1]!.reason, /^odd\.txt cannot be read: /);
});

Deno.test("readRecords() takes a folder's captions.jsonl for all that is in it", async () => {
  await using temp = await tempFolder();
  const line = { image_file: "1.png", text: "one" };
  await Deno.writeTextFile(temp.join("captions.jsonl"), JSON.stringify(line));
  await Deno.writeTextFile(temp.join("lonely.png"), "");
  assert.deepEqual(await readRecords(temp.path), {
    records: [{ imagePath: temp.join("1.png"), text: "one" }],
    skipped: [],
  });
});

Deno.test("readRecords() refuses data that is empty or not there", async () => {
  await using temp = await tempFolder();
  await assert.rejects(readRecords(temp.path), { message: /at least one image with its text/ });
  await Deno.writeTextFile(temp.join("only.png"), "");
  await assert.rejects(readRecords(temp.path), { message: /skipped 1, .*only\.png.*no only\.txt/ });
  await Deno.writeTextFile(temp.join("empty.jsonl"), "\n");
  await assert.rejects(readRecords(temp.join("empty.jsonl")), { name: "FormatError" });
  await assert.rejects(readRecords(temp.join("missing")), {
    name: "FormatError",
    message: /must exist/,
  });
});
