import assert from "node:assert/strict";
import { processResources } from "../../../coordinator/bench/process_resources.ts";
import { createSharedMemory } from "../../../shared/wire/plane/shared_memory.ts";

const ignore = Deno.build.os !== "linux";

Deno.test({ name: "processResources() counts what is open in a process", ignore }, async () => {
  const before = await processResources(Deno.pid);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const file = await Deno.open(import.meta.filename!);
  const during = await processResources(Deno.pid);
  assert.equal(during.sockets, before.sockets + 1);
  assert.equal(during.descriptors, before.descriptors + 2);
  listener.close();
  file.close();
  assert.deepEqual(await processResources(Deno.pid), before);
});

Deno.test(
  { name: "processResources() counts regions by name and by mapping", ignore },
  async () => {
    const { regions } = await processResources(Deno.pid);
    const memory = createSharedMemory(4096);
    assert.equal((await processResources(Deno.pid)).regions, regions + 2);
    memory.unlink();
    assert.equal((await processResources(Deno.pid)).regions, regions + 1);
    memory[Symbol.dispose]();
    assert.equal((await processResources(Deno.pid)).regions, regions);
  },
);

Deno.test({ name: "processResources() of a process that is gone", ignore }, async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  await assert.rejects(processResources(child.pid), { code: "NOT_FOUND" });
});
