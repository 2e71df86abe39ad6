/** Damaged files by the thousand: each is read rightly or refused with a FormatError, nothing else. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { TempFolder } from "./raw_file.ts";

const GOLDENS = join(import.meta.dirname!, "../../goldens/sd15");
const VAE = join(GOLDENS, "vae/diffusion_pytorch_model.safetensors");
const TEXT = join(GOLDENS, "expected/text.safetensors");

/** Opens a file and reads all of it: `true` if it was taken, `false` if refused with a FormatError. */
async function isTaken(path: string): Promise<boolean> {
  try {
    const file = await SafetensorsFile.open(path);
    await file.readMany(file.entries.keys());
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

Deno.test("SafetensorsFile refuses a real file cut anywhere", async () => {
  await using folder = await TempFolder.make();
  const bytes = await Deno.readFile(VAE);
  const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const random = new Mt19937(1);
  const sizes = new Set([
    ...Array.from({ length: 20 }, (_, i) => i),
    ...Array.from({ length: 20 }, (_, i) => headerEnd - 10 + i),
    ...Array.from({ length: 100 }, () => random.random32() % headerEnd),
    ...Array.from({ length: 100 }, () => random.random32() % bytes.byteLength),
    bytes.byteLength - 1,
  ]);
  const path = await folder.write("cut.safetensors", bytes);
  assert(await isTaken(path));
  for (const size of [...sizes].sort((a, b) => b - a)) {
    await Deno.truncate(path, size);
    assert(!await isTaken(path), `was taken when cut to ${size} bytes`);
  }
});

Deno.test("SafetensorsFile refuses a real file with bytes appended", async () => {
  await using folder = await TempFolder.make();
  const path = await folder.write("long.safetensors", await Deno.readFile(TEXT));
  await Deno.writeFile(path, new Uint8Array(1), { append: true });
  assert(!await isTaken(path));
});

Deno.test("SafetensorsFile survives 2,000 mutations of a real header", async () => {
  await using folder = await TempFolder.make();
  const original = await Deno.readFile(TEXT);
  const headerEnd = 8 + Number(new DataView(original.buffer).getBigUint64(0, true));
  const random = new Mt19937(2);
  // Half of the new bytes are ones that mean something in a header: those get past the JSON parser.
  const meaningful = new TextEncoder().encode('0123456789-.eE[]{}:,"\\ FIU');
  let taken = 0;
  for (let round = 0; round < 2000; round++) {
    const bytes = original.slice();
    const changes = 1 + random.random32() % 4;
    for (let i = 0; i < changes; i++) {
      const value = random.random32();
      bytes[random.random32() % headerEnd] = round % 2 === 0
        ? value & 0xff
        : meaningful[value % meaningful.length]!;
    }
    if (await isTaken(await folder.write("mutant.safetensors", bytes))) taken++;
    if (round % 100 === 0) assert(await isTaken(TEXT), `no longer opens after round ${round}`);
  }
  // Letters of names and metadata may change freely; if nothing or everything passed, the mutations
  // would not reach what is to be tested.
  assert(taken > 20 && taken < 1500, `${taken} of 2000 were taken`);
  assert(await isTaken(TEXT));
});
