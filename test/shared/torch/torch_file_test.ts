/** Files that torch.save() wrote: read as data, and refused for anything else. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { FormatError } from "../../../shared/errors.ts";
import { float32ToFloat16 } from "../../../shared/tensor/half.ts";
import { f32, i64, makeTensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { openWeightFile } from "../../../shared/weight_file/open_weight_file.ts";
import { PieceReader } from "../../../shared/weight_file/piece_reader.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import {
  Global,
  pickled,
  type Saved,
  torchFile,
  withZip64,
  writeHole,
  zipFile,
} from "../../support/torch_file.ts";

const NUMBERS = Array.from({ length: 24 }, (_, i) => i);
const MATRIX = f32([4, 6], NUMBERS);
const HALVES = makeTensor("float16", [3], float32ToFloat16(Float32Array.of(1, -2, 0.5)));

async function opened(bytes: Uint8Array, name = "model.ckpt") {
  const folder = await tempFolder();
  const path = folder.join(name);
  await Deno.writeFile(path, bytes);
  return {
    path,
    open: () => openWeightFile(path),
    [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
  };
}

async function refused(bytes: Uint8Array, message: RegExp): Promise<void> {
  await using file = await opened(bytes);
  await assert.rejects(file.open(), (error) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("openWeightFile() reads what torch.save() writes, whatever the file is called", async () => {
  const saved = { epoch: 7, state_dict: { a: MATRIX, "b.weight": HALVES, ids: i64([2], [5, 6]) } };
  for (const name of ["model.ckpt", "model.safetensors", "pytorch_model.bin"]) {
    await using written = await opened(torchFile(saved), name);
    const file = await written.open();
    assert.deepEqual([...file.entries.keys()].sort(), [
      "a",
      "b.weight",
      "ids",
    ]);
    assert.deepEqual(await file.read("a"), MATRIX);
    assert.deepEqual(toFloat32(await file.read("b.weight")), f32([3], [1, -2, 0.5]));
    assert.deepEqual(await file.read("ids"), i64([2], [5, 6]));
  }
});

Deno.test("tensors that share a storage, lie apart or in another order have the elements that torch sees", async () => {
  const views: Record<string, Saved> = {
    whole: MATRIX,
    transposed: { storage: MATRIX, shape: [6, 4], strides: [1, 6] },
    "last two rows": { storage: MATRIX, offset: 12, shape: [2, 6], strides: [6, 1] },
    "every second column": { storage: MATRIX, offset: 1, shape: [4, 3], strides: [6, 2] },
    "channels last": { storage: MATRIX, shape: [1, 3, 2, 4], strides: [24, 1, 12, 3] },
    "one element": { storage: MATRIX, offset: 23, shape: [], strides: [] },
    none: { storage: MATRIX, shape: [0, 5], strides: [5, 1] },
  };
  await using written = await opened(torchFile(views));
  const file = await written.open();
  const expected: Record<string, number[]> = {
    whole: NUMBERS,
    transposed: NUMBERS.map((i) => (i % 4) * 6 + Math.floor(i / 4)),
    "last two rows": NUMBERS.slice(12),
    "every second column": NUMBERS.filter((i) => i % 2 === 1),
    "channels last": NUMBERS.map((i) =>
      Math.floor(i / 8) + Math.floor(i % 8 / 4) * 12 + (i % 4) * 3
    ),
    "one element": [23],
    none: [],
  };
  const tensors = await file.readMany(file.entries.keys());
  using reader = await PieceReader.open(file);
  for (const [name, values] of Object.entries(expected)) {
    assert.deepEqual([...tensors.get(name)!.data], values, name);
    const pieces = reader.pieces(file.entry(name), 5).flatMap(({ data }) => [...data]).toArray();
    assert.deepEqual(pieces, values, `pieces of ${name}`);
  }
  assert.equal(file.entry("whole").strides, undefined);
  assert.equal(file.entry("last two rows").begin - file.entry("whole").begin, 48);
});

Deno.test("what Lightning keeps beside the weights is passed over", async () => {
  const callback = new Global(
    "pytorch_lightning.callbacks.model_checkpoint",
    "ModelCheckpoint",
    { isCalled: true },
  );
  await using written = await opened(
    torchFile({ callbacks: { best: callback }, state_dict: { a: MATRIX } }),
  );
  assert.deepEqual([...(await written.open()).entries.keys()], ["a"]);
});

Deno.test("a zip64 archive is read as those of less than 4 GB are", async () => {
  await using written = await opened(withZip64(torchFile({ a: MATRIX })));
  assert.deepEqual(await (await written.open()).read("a"), MATRIX);
});

Deno.test("a file of 5 GB opens in little memory, and a tensor at its end is read alone", async () => {
  await using folder = await tempFolder();
  const path = folder.join("large.ckpt");
  const elements = 1.25e9;
  const { begin, end } = await writeHole(path, elements);
  const before = Deno.memoryUsage().rss;
  const file = await openWeightFile(path);
  assert.equal(file.entry("most").end - file.entry("most").begin, 4 * (elements - 2));
  assert.deepEqual([file.entry("last").begin, file.entry("last").end], [end - 8, end]);
  assert.deepEqual(await file.read("last"), f32([2], [3, 4]));
  assert.equal(begin % 64, 0);
  assert.ok(Deno.memoryUsage().rss - before < 50e6);
});

Deno.test("a pickle that names anything but tensors is refused by that name, and nothing runs", async () => {
  for (
    const [module, name] of [["posix", "system"], ["builtins", "eval"], ["torch", "load"]] as const
  ) {
    const bytes = torchFile({ a: MATRIX, b: new Global(module, name, { isCalled: true }) });
    await refused(bytes, new RegExp(`names "${module}\\.${name}"\\. Nothing of it was executed`));
  }
  const bare = pickled("x").pickle;
  // INT, of protocol 0; EXT1, which refers to a registry of the process.
  for (const opcode of [0x49, 0x82]) {
    const pickle = Uint8Array.from([...bare.slice(0, 2), opcode, ...bare.slice(2)]);
    await refused(zipFile({ "archive/data.pkl": pickle }), /opcode 0x(49|82) at byte 2/);
  }
});

Deno.test("tensors outside of their storage, or larger than it, are refused before memory is taken", async () => {
  const view = { storage: MATRIX, shape: [4, 6], strides: [6, 1] };
  const huge = 2 ** 40;
  for (
    const wrong of [
      { ...view, offset: 1 },
      { ...view, strides: [7, 1] },
      { ...view, shape: [huge, huge] },
      { ...view, shape: [huge, 1], strides: [0, 0] },
      { ...view, offset: huge, shape: [] as number[], strides: [] },
    ]
  ) await refused(torchFile({ a: wrong }), /must lie in its storage of 96 bytes/);
  await refused(torchFile({ a: { ...view, strides: [1] } }), /one of each per axis/);
  const { pickle } = pickled({ a: MATRIX });
  await refused(zipFile({ "x/data.pkl": pickle }), /storage "0" of "a" is missing/);
  const short = zipFile({ "x/data.pkl": pickle, "x/data/0": new Uint8Array(95) });
  await refused(short, /its storage must have 96 bytes, the archive has 95/);
});

Deno.test("dicts that hold each other many times, or themselves, are refused in bounded time", async () => {
  // d0 = {}; d1 = {a: d0, ..., h: d0}; each of eight levels has the one below it ten times.
  const bytes = [0x80, 2, 0x7d, 0x71, 0];
  for (let level = 1; level <= 8; level++) {
    bytes.push(0x7d, 0x71, level, 0x28);
    for (let key = 0; key < 10; key++) bytes.push(0x4b, key, 0x68, level - 1);
    bytes.push(0x75);
  }
  const wide = zipFile({ "x/data.pkl": Uint8Array.from([...bytes, 0x2e]) });
  await refused(wide, /at most 8 dicts deep/);
  const itself = Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x4b, 1, 0x68, 0, 0x73, 0x2e);
  await refused(zipFile({ "x/data.pkl": itself }), /at most 8 dicts deep/);
});

Deno.test("archives that are compressed, cut off, or no file of tensors say so", async () => {
  const { pickle } = pickled({ a: MATRIX });
  const whole = torchFile({ a: MATRIX });
  await refused(zipFile({ "x/data.pkl": pickle }, { isCompressed: true }), /it is compressed/);
  await refused(whole.slice(0, -1), /cut off: download it again/);
  await refused(whole.slice(0, 100), /cut off: download it again/);
  await refused(zipFile({ "model.safetensors": pickle }), /is to be unpacked first/);
  await refused(
    zipFile({ "x/data.pkl": pickle, "x/constants.pkl": pickle }),
    /TorchScript program/,
  );
  await refused(torchFile({ epoch: 3 }), /must hold tensors: its pickle has none/);
  const big = zipFile({ "x/data.pkl": pickle, "x/byteorder": new TextEncoder().encode("big") });
  await refused(big, /big-endian/);
});

Deno.test("no damage to a small torch file does more than refuse it", async () => {
  const saved = {
    state_dict: { a: MATRIX, b: { storage: MATRIX, shape: [6, 4], strides: [1, 6] } },
  };
  const { pickle } = pickled(saved);
  const whole = torchFile(saved);
  const folder = await tempFolder();
  await using _ = folder;
  const path = folder.join("damaged.ckpt");
  let taken = 0;
  const feed = async (bytes: Uint8Array) => {
    await Deno.writeFile(path, bytes);
    try {
      const file = await openWeightFile(path);
      await file.readMany(file.entries.keys());
      taken++;
    } catch (error) {
      assert.ok(error instanceof FormatError, String((error as Error).stack));
    }
  };
  const damage = (length: number) =>
    fc.array(fc.tuple(fc.nat(length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
  const damagedCopy = (bytes: Uint8Array, changes: readonly (readonly [number, number])[]) => {
    const copy = bytes.slice();
    for (const [at, value] of changes) copy[at] = value;
    return copy;
  };
  const inArchive = (bytes: Uint8Array) =>
    zipFile({ "archive/data.pkl": bytes, "archive/data/0": new Uint8Array(MATRIX.data.buffer) });
  await fc.assert(
    fc.asyncProperty(
      damage(pickle.length),
      (changes) => feed(inArchive(damagedCopy(pickle, changes))),
    ),
    { seed: 1, numRuns: 400 },
  );
  await fc.assert(
    fc.asyncProperty(damage(whole.length), (changes) => feed(damagedCopy(whole, changes))),
    { seed: 2, numRuns: 200 },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(pickle.length), (end) => feed(inArchive(pickle.slice(0, end)))),
    { seed: 3, numRuns: 100 },
  );
  // Damage to text and values passes: what is fed reaches the far end of the reader.
  assert.ok(taken > 50, `${taken} were taken`);
});
