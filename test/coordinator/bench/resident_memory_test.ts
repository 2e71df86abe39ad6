import assert from "node:assert/strict";
import {
  heldBytes,
  residentMemory,
  roughResidentBytes,
} from "../../../coordinator/bench/resident_memory.ts";

const isLinux = Deno.build.os === "linux";
const MB = 1e6;

Deno.test({ name: "residentMemory() sees what a process fills", ignore: !isLinux }, async () => {
  const before = heldBytes(await residentMemory(Deno.pid));
  const block = new Uint8Array(100 * MB).fill(1);
  const after = await residentMemory(Deno.pid);
  const grown = heldBytes(after) - before;
  // Other things come and go meanwhile: this process collects its garbage.
  assert.ok(grown > 80 * MB && grown < 140 * MB, `${grown}`);
  assert.ok(Math.abs(await roughResidentBytes(Deno.pid) / heldBytes(after) - 1) < 0.2);
  assert.equal(block[99], 1);
});

Deno.test({ name: "residentMemory() leaves mapped files out", ignore: !isLinux }, async () => {
  const { fileBytes, privateBytes } = await residentMemory(Deno.pid);
  const text = await Deno.readTextFile(`/proc/${Deno.pid}/smaps_rollup`);
  const resident = Number(/^Rss:\s*(\d+) kB/m.exec(text)![1]) * 1024;
  assert.ok(fileBytes > 10 * MB, "Deno itself is a mapped file");
  assert.ok(privateBytes < resident - fileBytes / 2);
});

Deno.test({ name: "residentMemory() of a process that is gone", ignore: !isLinux }, async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  await assert.rejects(residentMemory(child.pid), { code: "NOT_FOUND" });
});
