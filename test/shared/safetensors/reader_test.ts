import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { rawFile, TempFolder } from "./raw_file.ts";

const GOLDENS = join(import.meta.dirname!, "../../goldens/sd15");

const TWO_TENSORS = rawFile(
  `{"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},` +
    `"a":{"dtype":"I16","shape":[2,1],"data_offsets":[0,4]},"__metadata__":{"k":"v"}}`,
  7,
);

/** The message with which `open()` refuses a file of this name and content. */
async function refusal(name: string, content: Uint8Array | string): Promise<string> {
  await using folder = await TempFolder.make();
  const path = await folder.write(name, content);
  return await openRefusal(path);
}

async function openRefusal(path: string): Promise<string> {
  const error = await SafetensorsFile.open(path).then(() => assert.fail("was opened"), (e) => e);
  assert(error instanceof FormatError, `threw ${error}`);
  assert(error.message.includes(JSON.stringify(path)), error.message);
  return error.message;
}

Deno.test("SafetensorsFile reads tensors by range", async () => {
  await using folder = await TempFolder.make();
  const file = await SafetensorsFile.open(await folder.write("m.safetensors", TWO_TENSORS));
  assert.deepEqual(file.metadata, { k: "v" });
  assert.deepEqual([...file.entries.keys()], ["a", "b"]);
  assert.deepEqual(await file.read("a"), {
    dtype: "int16",
    shape: [2, 1],
    data: Int16Array.of(0x0100, 0x0302),
  });
  assert.deepEqual(await file.read("b"), {
    dtype: "uint8",
    shape: [3],
    data: Uint8Array.of(4, 5, 6),
  });
});

Deno.test("SafetensorsFile.readMany() reads names in any order, once each", async () => {
  await using folder = await TempFolder.make();
  const file = await SafetensorsFile.open(await folder.write("m.safetensors", TWO_TENSORS));
  const tensors = await file.readMany(["b", "a", "b"]);
  assert.deepEqual([...tensors.keys()], ["a", "b"]);
  assert.deepEqual(tensors.get("b"), await file.read("b"));
  assert.equal((await file.readMany([])).size, 0);
});

Deno.test("SafetensorsFile reads a file that torch's side wrote", async () => {
  const file = await SafetensorsFile.open(join(GOLDENS, "expected/text.safetensors"));
  const inputIds = await file.read("input_ids");
  assert.equal(inputIds.dtype, "int64");
  const states = await file.read("last_hidden_state.a");
  assert.equal(states.dtype, "float32");
  assert.equal(states.shape[1], inputIds.shape[1]);
  // The final LayerNorm bounds the states: a wrong offset would show numbers of any size.
  assert(states.data.every((value) => Math.abs(Number(value)) < 20 && value !== 0));
});

Deno.test("SafetensorsFile opens a file whose length field looks like a pickle", async () => {
  const path = join(GOLDENS, "expected/text.safetensors");
  assert.equal((await Deno.readFile(path))[0], 0x80);
  // 640 = 0x0280: the two bytes with which pickles of protocol 2 begin.
  await using folder = await TempFolder.make();
  const bytes = rawFile("{}".padEnd(640));
  assert.deepEqual([...bytes.subarray(0, 2)], [0x80, 0x02]);
  const file = await SafetensorsFile.open(await folder.write("m.safetensors", bytes));
  assert.equal(file.entries.size, 0);
});

Deno.test("SafetensorsFile.read() refuses an unknown name, naming tensor and file", async () => {
  await using folder = await TempFolder.make();
  const file = await SafetensorsFile.open(await folder.write("m.safetensors", TWO_TENSORS));
  const expected = { name: "FormatError", message: /^Tensor "toString" must be in .*2 tensors/ };
  await assert.rejects(file.read("toString"), expected);
  await assert.rejects(file.readMany(["a", "toString"]), expected);
});

Deno.test("SafetensorsFile.read() refuses a file that became shorter after open()", async () => {
  await using folder = await TempFolder.make();
  const path = await folder.write("m.safetensors", TWO_TENSORS);
  const file = await SafetensorsFile.open(path);
  await Deno.truncate(path, TWO_TENSORS.byteLength - 1);
  assert.equal((await file.read("a")).data.length, 2);
  await assert.rejects(file.read("b"), { name: "FormatError", message: /must not change/ });
});

Deno.test("SafetensorsFile.read() refuses a file that is gone", async () => {
  await using folder = await TempFolder.make();
  const path = await folder.write("m.safetensors", TWO_TENSORS);
  const file = await SafetensorsFile.open(path);
  await Deno.remove(path);
  await assert.rejects(file.read("a"), { name: "FormatError", message: /must exist/ });
});

Deno.test("SafetensorsFile.open() refuses a missing file and a folder", async () => {
  await using folder = await TempFolder.make();
  assert.match(await openRefusal(join(folder.path, "none.safetensors")), /must exist/);
  assert.match(await openRefusal(folder.path), /must be a file: it is a folder or device/);
  const inside = join(await folder.write("file", "x"), "m.safetensors");
  assert.match(await openRefusal(inside), /must be readable|must exist/);
});

Deno.test("SafetensorsFile.open() refuses a device, which would never end", async () => {
  assert.match(await openRefusal("/dev/zero"), /must be a file: it is a folder or device/);
});

Deno.test("SafetensorsFile.open() refuses every file of fewer than 8 bytes", async () => {
  for (let size = 1; size < 8; size++) {
    const message = await refusal("m.safetensors", new Uint8Array(size));
    assert.match(message, new RegExp(`at least 8 bytes: current size is ${size}$`));
  }
});

Deno.test("SafetensorsFile.open() refuses a header beyond the file", async () => {
  const bytes = rawFile("{}");
  bytes[7] = 1;
  assert.match(await refusal("m.safetensors", bytes), /must lie in the file of 10 bytes/);
});

const TORCH_LEGACY_MAGIC = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8];
const BARE_PICKLE = /this is a bare pickle, .*\. Get the model's \.safetensors version/;

for (
  const [criterion, content] of [
    ["a pickle of torch before 1.6", Uint8Array.from(TORCH_LEGACY_MAGIC)],
    ["a pickle of protocol 4", Uint8Array.of(0x80, 0x04, 0x95, 9, 0, 0, 0, 0, 0, 0)],
    ["a pickle of 3 bytes", Uint8Array.of(0x80, 0x02, 0x2e)],
  ] as const
) {
  Deno.test(`SafetensorsFile.open() refuses ${criterion}, saying why and what to do`, async () => {
    assert.match(await refusal("m.safetensors", content), BARE_PICKLE);
  });
}

const text = (content: string) => new TextEncoder().encode(content);

for (
  const [what, content, cure] of [
    [
      "a git-lfs pointer",
      text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
      "git lfs pull",
    ],
    ["a web page, ", text("<!DOCTYPE html><html></html>"), "sign-in"],
    ["a web page", text("\ufeff\r\n<html><head>"), "sign-in"],
    ["JSON text, ", text('{"error":"Unauthorized","message":"You have to be logged in"}'), "token"],
    ["JSON text", text('{"data":{"error":{"code":404}}}'), "token"],
    [
      "a GGUF file",
      Uint8Array.of(0x47, 0x47, 0x55, 0x46, 3, ...new Array(40).fill(0)),
      "safetensors version",
    ],
    ["a gzip archive", new Uint8Array(gzipSync(text("anything"))), "gunzip"],
    [
      "a picture",
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...new Array(99).fill(0)),
      "preview",
    ],
    ["an ONNX model", text("\x08\x07\x12\x07pytorch" + "\0".repeat(99)), "safetensors version"],
    ["nothing but zeros", new Uint8Array(4096), "Download it again"],
    ["a 7z archive", Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4), "Unpack it first"],
  ] as const
) {
  Deno.test(`SafetensorsFile.open() says that a file is ${what}, and what to do`, async () => {
    const message = await refusal("m.safetensors", content);
    assert.ok(message.includes(`must hold tensors: this is ${what}`), message);
    assert.ok(message.includes(cure), message);
  });
}

Deno.test("a download that was cut off says so, wherever it ends", async () => {
  const whole = rawFile('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 16);
  for (const size of [20, whole.length - 1]) {
    assert.match(
      await refusal("m.safetensors", whole.slice(0, size)),
      /truncated.*download it again/,
    );
  }
  assert.match(await refusal("m.safetensors", new Uint8Array()), /it is empty\. Download it again/);
});
