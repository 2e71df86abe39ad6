import assert from "node:assert/strict";
import { join } from "node:path";
import { MAX_HEADER_BYTES } from "../../../shared/safetensors/header.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { type DType, DTYPES } from "../../../shared/tensor/dtype.ts";
import {
  byteLength,
  f32,
  i64,
  type Tensor,
  tensorFromBytes,
} from "../../../shared/tensor/tensor.ts";
import { TempFolder } from "./raw_file.ts";

const GOLDENS = join(import.meta.dirname!, "../../goldens/sd15");

/** A tensor whose bytes count up, so that swapped or shifted bytes show. */
function countingTensor(dtype: DType, shape: readonly number[]): Tensor {
  const bytes = Uint8Array.from({ length: byteLength(dtype, shape) }, (_, i) => i * 7 + 1);
  return tensorFromBytes(dtype, shape, bytes);
}

for (const dtype of Object.keys(DTYPES) as DType[]) {
  Deno.test(`writeSafetensors() round trip of ${dtype}: a matrix, a scalar, no elements`, async () => {
    await using folder = await TempFolder.make();
    const path = join(folder.path, "m.safetensors");
    const tensors = {
      matrix: countingTensor(dtype, [3, 5]),
      scalar: countingTensor(dtype, []),
      empty: countingTensor(dtype, [4, 0, 2]),
    };
    await writeSafetensors(path, tensors);
    const file = await SafetensorsFile.open(path);
    assert.equal(file.entries.size, 3);
    for (const [name, tensor] of Object.entries(tensors)) {
      const read = await file.read(name);
      assert.deepEqual([read.dtype, read.shape], [tensor.dtype, tensor.shape]);
      assert.equal(read.data.constructor, tensor.data.constructor);
      assert(bitEqual(read.data, tensor.data), name);
    }
  });
}

Deno.test("writeSafetensors() aligns the data to 8 bytes and each tensor to its elements", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  for (let extra = 0; extra < 8; extra++) {
    await writeSafetensors(path, {
      ["a".repeat(1 + extra)]: countingTensor("uint8", [3]),
      half: countingTensor("float16", [3]),
      single: countingTensor("float32", [3]),
      double: countingTensor("int64", [3]),
    });
    const { entries } = await SafetensorsFile.open(path);
    assert.equal([...entries.values()][0]!.begin % 8, 0);
    for (const { name, dtype, begin } of entries.values()) {
      assert.equal(begin % DTYPES[dtype].bytes, 0, name);
    }
  }
});

Deno.test("writeSafetensors() keeps metadata and names of any kind", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  const names = ["__proto__", "constructor", "", "7", "名前", 'a"b\\c\n'];
  const tensors = Object.fromEntries(names.map((name, i) => [name, f32([1], [i])]));
  const metadata = { format: "pt", "キー": "väl\u0000ue", empty: "" };
  await writeSafetensors(path, tensors, metadata);
  const file = await SafetensorsFile.open(path);
  assert.deepEqual(file.metadata, metadata);
  assert.equal(file.entries.size, names.length);
  for (const [i, name] of names.entries()) {
    assert.deepEqual([...(await file.read(name)).data], [i]);
  }
});

Deno.test("writeSafetensors() writes a file without tensors, and without metadata", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  await writeSafetensors(path, {});
  const file = await SafetensorsFile.open(path);
  assert.deepEqual([file.entries.size, file.metadata], [0, {}]);
});

Deno.test("writeSafetensors() gives the same bytes for the same tensors in any order", async () => {
  await using folder = await TempFolder.make();
  const [one, two] = [join(folder.path, "1"), join(folder.path, "2")];
  const a = f32([2], [1, 2]), b = i64([1], [3]), c = f32([1], [4]);
  await writeSafetensors(one, { a, b, c });
  await writeSafetensors(two, { c, b, a });
  assert.deepEqual(await Deno.readFile(one), await Deno.readFile(two));
});

Deno.test("writeSafetensors() writes views of a larger buffer, only their own part", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  const buffer = Float32Array.of(1, 2, 3, 4);
  await writeSafetensors(path, { view: f32([2], buffer.subarray(1, 3)) });
  assert.deepEqual([...(await (await SafetensorsFile.open(path)).read("view")).data], [2, 3]);
});

Deno.test("writeSafetensors() copies a golden file tensor by tensor", async () => {
  await using folder = await TempFolder.make();
  const original = await SafetensorsFile.open(
    join(GOLDENS, "vae/diffusion_pytorch_model.safetensors"),
  );
  const tensors = await original.readMany(original.entries.keys());
  const path = join(folder.path, "vae.safetensors");
  await writeSafetensors(path, Object.fromEntries(tensors), original.metadata);
  const copy = await SafetensorsFile.open(path);
  assert.deepEqual(copy.metadata, original.metadata);
  assert.equal(copy.entries.size, original.entries.size);
  for (const [name, tensor] of tensors) {
    const read = await copy.read(name);
    assert.deepEqual([read.dtype, read.shape], [tensor.dtype, tensor.shape], name);
    assert(bitEqual(read.data, tensor.data), name);
  }
});

Deno.test("writeSafetensors() replaces a file and leaves nothing beside it", async () => {
  await using folder = await TempFolder.make();
  const path = await folder.write("m.safetensors", "old");
  await writeSafetensors(path, { x: f32([1], [5]) });
  assert.deepEqual([...(await (await SafetensorsFile.open(path)).read("x")).data], [5]);
  assert.deepEqual((await Array.fromAsync(Deno.readDir(folder.path))).length, 1);
});

Deno.test("writeSafetensors() leaves the target as it was when it fails", async () => {
  await using folder = await TempFolder.make();
  // A folder in the target's place makes the last step, the rename, fail.
  const path = join(folder.path, "m.safetensors");
  await Deno.mkdir(join(path, "inside"), { recursive: true });
  await assert.rejects(writeSafetensors(path, { x: f32([1]) }), {
    name: "TuttiError",
    message: /^Cannot write .*m\.safetensors/,
  });
  const names = (await Array.fromAsync(Deno.readDir(folder.path))).map((item) => item.name);
  assert.deepEqual(names, ["m.safetensors"]);
  assert((await Deno.stat(join(path, "inside"))).isDirectory);
});

Deno.test("writeSafetensors() says NOT_FOUND where the folder is missing", async () => {
  await using folder = await TempFolder.make();
  await assert.rejects(writeSafetensors(join(folder.path, "none/m.safetensors"), {}), {
    name: "TuttiError",
    code: "NOT_FOUND",
  });
});

Deno.test("writeSafetensors() refuses a tensor with the metadata's name", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  await assert.rejects(writeSafetensors(path, { __metadata__: f32([1]) }), {
    name: "FormatError",
    message: /must not be called "__metadata__"/,
  });
});

Deno.test("writeSafetensors() refuses data of another length than the shape, before writing", async () => {
  await using folder = await TempFolder.make();
  const tensor: Tensor = { dtype: "float32", shape: [3], data: new Float32Array(2) };
  await assert.rejects(writeSafetensors(join(folder.path, "m.safetensors"), { tensor }), {
    name: "ShapeError",
    message: /"tensor" of float32 \[3\] must have 12 bytes: current count is 8/,
  });
  assert.equal((await Array.fromAsync(Deno.readDir(folder.path))).length, 0);
});

Deno.test("writeSafetensors() refuses a header that no reader of ours would take", async () => {
  await using folder = await TempFolder.make();
  const path = join(folder.path, "m.safetensors");
  await assert.rejects(writeSafetensors(path, {}, { long: "x".repeat(MAX_HEADER_BYTES) }), {
    name: "FormatError",
    message: /must have at most 100000000 bytes/,
  });
});
