/** Processor, memory, native calls and the network of this machine. @module */

import { instructionSets } from "../../shared/device/instruction_sets.ts";
import { addressOf, alignedTensor } from "../../shared/lane/aligned_memory.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import { absent, failed, type Finding, ok } from "./finding.ts";

export async function checkProcessor(): Promise<Finding> {
  return ok("processor", `${navigator.hardwareConcurrency} cores, ${await instructionSets()}`);
}

/** What a worker with a full-size SD1.5 model takes in f32, and what the bundled experts take together. */
const FULL_SIZE_BYTES = 4_500_000_000;
const BUNDLED_BYTES = 1_000_000_000;

export function checkMemory(
  { total, available }: Pick<Deno.SystemMemoryInfo, "total" | "available"> = Deno
    .systemMemoryInfo(),
): Finding {
  const value = `${formatBytes(available)} free of ${formatBytes(total)}`;
  if (available < BUNDLED_BYTES) {
    return failed("memory", value, `free ${formatBytes(BUNDLED_BYTES)}: end other programs`);
  }
  if (available < FULL_SIZE_BYTES) {
    return absent(
      "memory",
      value,
      `enough for the bundled experts; a worker with a full-size SD1.5 model takes ${
        formatBytes(FULL_SIZE_BYTES)
      }`,
    );
  }
  return ok("memory", value);
}

/** Lanes pass tensors by address. */
export function checkNativeCalls(): Finding {
  try {
    const tensor = alignedTensor("float32", [1]);
    tensor.data[0] = Math.PI;
    const pointer = Deno.UnsafePointer.create(addressOf(tensor))!;
    const seen = new Float32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4))[0]!;
    if (seen === Math.fround(Math.PI)) return ok("native calls", "memory can be shared by address");
    throw new Error("memory read by its address is not what was written");
  } catch (error) {
    return failed("native calls", (error as Error).message, "run Deno with --allow-ffi");
  }
}

/** Where a worker listens if no address is given. */
const WORKER_PORT = 7070;

/** Workers that commands start take any free port; one that a person starts takes 7070. */
export function checkPorts(): Finding[] {
  return [tryPort(0), tryPort(WORKER_PORT)];
}

function tryPort(port: number): Finding {
  const name = port === 0 ? "loopback" : `port ${port}`;
  try {
    using listener = Deno.listen({ hostname: "127.0.0.1", port });
    return ok(name, `free (${(listener.addr as Deno.NetAddr).hostname})`);
  } catch (error) {
    const { message } = error as Error;
    return port === 0
      ? failed(name, message, "this process must be allowed to listen on 127.0.0.1")
      : absent(
        name,
        error instanceof Deno.errors.AddrInUse ? "in use" : message,
        `\`tutti health 127.0.0.1:${port}\` tells whether a worker has it; \`tutti worker --listen 127.0.0.1:0\` takes another`,
      );
  }
}
