/** Safetensors files: header, offsets, dtypes and data. @module */

import assert from "node:assert/strict";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import type { Mutator } from "../mutate.ts";

export async function safetensorsFiles(): Promise<FuzzTarget> {
  const folder = await tempFolder();
  const good = folder.join("good.safetensors");
  const weight = f32([2, 3, 1, 1], [1, 2, 3, 4, 5, 6]);
  const tensors = {
    "conv_in.weight": weight,
    "conv_in.bias": f32([2]),
    ids: i64([1, 3], [7, 8, 9]),
  };
  await writeSafetensors(good, tensors, { format: "pt", note: "a good file" });
  const path = folder.join("damaged.safetensors");
  const read = async (file: string) => {
    const opened = await SafetensorsFile.open(file);
    return await opened.readMany(opened.entries.keys());
  };
  return {
    name: "safetensors",
    seeds: [await Deno.readFile(good)],
    alphabet: new TextEncoder().encode('0123456789-.eE[]{}:,"\\ FIU'),
    mutate: withDamagedHeader,
    async feed(bytes) {
      await Deno.writeFile(path, bytes);
      return await outcomeOf(() => read(path));
    },
    async feedGood() {
      assert.deepEqual((await read(good)).get("conv_in.weight"), weight);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A header that is damaged, in front of which its true length stands. */
function withDamagedHeader(bytes: Uint8Array, mutator: Mutator): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset } = bytes;
  const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const header = mutator.mutate(bytes.subarray(8, 8 + length));
  const data = bytes.subarray(8 + length);
  const result = new Uint8Array(8 + header.length + data.length);
  new DataView(result.buffer).setBigUint64(0, BigInt(header.length), true);
  result.set(header, 8);
  result.set(data, 8 + header.length);
  return result;
}
