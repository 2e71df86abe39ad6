import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { captionText } from "../../../../coordinator/training/dataset/caption_text.ts";
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

Deno.test("readRecords() reads captions of every spelling, and Hugging Face's metadata.jsonl", async () => {
  await using temp = await tempFolder();
  const write = (name: string, text = "") => Deno.writeTextFile(temp.join(name), text);
  for (const name of ["a", "b", "c", "d"]) await write(`${name}.png`);
  await write("a.TXT", "one");
  await write("b.caption", "two");
  await write("c.txt", "three");
  await write("c.caption", "another");
  await write("d.avif");
  const { records, skipped } = await readRecords(temp.path);
  assert.deepEqual(records.map(({ text }) => text), ["one", "two", "three"]);
  assert.deepEqual(skipped.map(({ path }) => path), [temp.join("d.avif"), temp.join("d.png")]);

  await write("metadata.jsonl", '{"file_name": "d.png", "text": "four"}');
  assert.deepEqual((await readRecords(temp.path)).records, [
    { imagePath: temp.join("d.png"), text: "four" },
  ]);
});

Deno.test("readRecords() tells of folders in the folder that hold images", async () => {
  await using temp = await tempFolder();
  for (const name of ["10_cat", "empty"]) await Deno.mkdir(temp.join(name));
  for (const name of ["1.png", "1.txt", "2.jpg"]) {
    await Deno.writeTextFile(temp.join("10_cat", name), "");
  }
  await assert.rejects(readRecords(temp.path), {
    message: /has none \(skipped 1, .*10_cat": folders in folders are not read.* its 2 images\)$/,
  });
});

/** Bytes of a caption in what an editor may write, and the text that is read or the reason that it is not. */
const GERMAN = "ein großer roter Kreis, naïve café";
const utf16 = (text: string) => Uint8Array.from(Buffer.from(text, "utf16le"));
const swapped = (bytes: Uint8Array) => bytes.map((_, i) => bytes[i ^ 1]!);
const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const utf8 = (text: string) => new TextEncoder().encode(text);
const NOT_UTF8 = /^it must be UTF-8, or UTF-16 with its mark/;
const NO_TEXT =
  /^it must be text in UTF-8, or in UTF-16 with its mark: it has the character U\+0000$/;

const CAPTIONS: readonly (readonly [name: string, bytes: Uint8Array, read: string | RegExp])[] = [
  ["UTF-8", utf8(GERMAN), GERMAN],
  ["UTF-8 with its mark", utf8(`\uFEFF${GERMAN}`), GERMAN],
  ["UTF-16 of Windows", utf16(`\uFEFF${GERMAN}`), GERMAN],
  ["UTF-16, big-endian", swapped(utf16(`\uFEFF${GERMAN}`)), GERMAN],
  ["UTF-16 without its mark", utf16("a red circle"), NO_TEXT],
  ["UTF-16 that ends within a character", utf16(`\uFEFFab`).subarray(0, 5), NOT_UTF8],
  ["Latin-1", latin1(GERMAN), NOT_UTF8],
  ["Windows-1252", latin1("a sign \x93hello\x94"), NOT_UTF8],
  ["Shift-JIS", Uint8Array.of(0x90, 0xd4, 0x82, 0xa2, 0x8a, 0xdb), NOT_UTF8],
  ["a NUL", utf8("a red\0 circle"), NO_TEXT],
  ["nothing", utf8(""), ""],
];

for (const [name, bytes, read] of CAPTIONS) {
  Deno.test(`a caption in ${name} is ${typeof read === "string" ? "read" : "refused"}`, () => {
    if (typeof read === "string") return assert.equal(captionText(bytes), read);
    assert.throws(() => captionText(bytes), { name: "FormatError", message: read });
  });
}

Deno.test("readRecords() skips captions of other encodings by name, and refuses such lists", async () => {
  await using temp = await tempFolder();
  for (const name of ["good", "bad"]) await Deno.writeTextFile(temp.join(`${name}.png`), "");
  await Deno.writeFile(temp.join("good.txt"), utf16(`\uFEFF${GERMAN}`));
  await Deno.writeFile(temp.join("bad.txt"), latin1(GERMAN));
  const { records, skipped } = await readRecords(temp.path);
  assert.deepEqual(records, [{ imagePath: temp.join("good.png"), text: GERMAN }]);
  assert.deepEqual(skipped.map(({ path }) => path), [temp.join("bad.png")]);
  assert.match(skipped[0]!.reason, /^bad\.txt cannot be read: it must be UTF-8/);
  const list = temp.join("captions.jsonl");
  const line = JSON.stringify({ image_file: "good.png", text: GERMAN });
  await Deno.writeFile(list, utf16(`\uFEFF${line}\r\n`));
  assert.equal((await readRecords(list)).records[0]!.text, GERMAN);
  await Deno.writeFile(list, latin1(line));
  await assert.rejects(readRecords(temp.path), { message: /captions\.jsonl": it must be UTF-8/ });
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
