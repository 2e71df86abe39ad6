/**
 * The other process: `double NAME BYTES` doubles the floats of a region in place; `leave BYTES` creates one, says its
 * name and waits to be killed.
 *
 * @module
 */

import {
  createSharedMemory,
  openSharedMemory,
} from "../../../../shared/wire/plane/shared_memory.ts";

const [task, ...args] = Deno.args;
if (task === "double") {
  using memory = openSharedMemory(args[0]!, Number(args[1]));
  const floats = new Float32Array(memory.buffer);
  for (let i = 0; i < floats.length; i++) floats[i]! *= 2;
} else {
  using memory = createSharedMemory(Number(args[0]));
  await Deno.stdout.write(new TextEncoder().encode(`${memory.name}\n`));
  await new Promise(() => setInterval(() => {}, 1000));
}
