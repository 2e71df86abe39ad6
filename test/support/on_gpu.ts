/**
 * Tests on a graphics adapter: SwiftShader, or the machine's own with `TUTTI_TEST_GPU=real`. Where there is none they are
 * skipped, and their names say why.
 *
 * @module
 */

import { findSoftwareGpu, type SoftwareGpu } from "./software_gpu.ts";

const gpu = await usableGpu();
/** Whether it computes on the CPU's cores. */
export const isSoftwareGpu = Deno.env.get("TUTTI_TEST_GPU") !== "real";

/** A test that needs an adapter. */
export function testOnGpu(name: string, fn: () => Promise<void>): void {
  if ("env" in gpu) Deno.test(name, fn);
  else Deno.test({ name: `${name} (skipped: ${gpu.reason})`, ignore: true, fn });
}

/** Sets this process's environment, for the driver that this process loads and those that its children load. */
async function usableGpu(): Promise<SoftwareGpu> {
  const found = await findSoftwareGpu();
  if (!("env" in found)) return found;
  if ("LD_LIBRARY_PATH" in found.env) {
    return { reason: "the Vulkan loader is found by `deno task test` only: it is not installed" };
  }
  Object.entries(found.env).forEach(([name, value]) => Deno.env.set(name, value));
  return found;
}
