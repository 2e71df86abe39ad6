import assert from "node:assert/strict";
import { PieceReader } from "../../../shared/weight_file/piece_reader.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const NUMBERS = Array.from({ length: 10 }, (_, i) => i);

Deno.test("PieceReader gives a tensor in pieces, several tensors side by side", async () => {
  await using folder = await tempFolder();
  const path = folder.join("a.safetensors");
  await writeSafetensors(path, { a: f32([2, 5], NUMBERS), b: i64([10], NUMBERS), none: f32([0]) });
  const file = await SafetensorsFile.open(path);
  using reader = await PieceReader.open(file);
  const [a, b] = ["a", "b"].map((name) => reader.pieces(file.entry(name), 4));
  const lengths: number[] = [];
  const read: number[][] = [[], []];
  for (let first = a!.next(), second = b!.next(); !first.done && !second.done;) {
    lengths.push(first.value.data.length);
    read[0]!.push(...Array.from(first.value.data, Number));
    read[1]!.push(...Array.from(second.value.data, Number));
    [first, second] = [a!.next(), b!.next()];
  }
  assert.deepEqual(lengths, [4, 4, 2]);
  assert.deepEqual(read, [NUMBERS, NUMBERS]);
  assert.deepEqual([...reader.pieces(file.entry("none"), 4)], []);
});

Deno.test("PieceReader tells when a file shrinks while it is in use, or is gone", async () => {
  await using folder = await tempFolder();
  const path = folder.join("a.safetensors");
  await writeSafetensors(path, { a: f32([10], NUMBERS) });
  const file = await SafetensorsFile.open(path);
  using reader = await PieceReader.open(file);
  await Deno.truncate(path, file.entry("a").begin + 20);
  const pieces = reader.pieces(file.entry("a"), 4);
  assert.equal(pieces.next().done, false);
  assert.throws(() => pieces.next(), /must not change while it is in use: it now ends at byte \d+/);
  await Deno.remove(path);
  await assert.rejects(PieceReader.open(file), /must be readable/);
});
