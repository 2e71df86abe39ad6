/** Which of a machine's GPUs each of several workers gets. @module */

import type { Device } from "../lane/protocol.ts";

/** What the driver tells of each GPU, on Linux. */
const DRIVER_FOLDER = "/proc/driver/nvidia/gpus";

/** GPUs that CUDA shows to this process; 0 where nothing tells. */
export async function cudaDevices(
  { folder = DRIVER_FOLDER, visible = Deno.env.get("CUDA_VISIBLE_DEVICES") } = {},
): Promise<number> {
  // CUDA counts anew among those that the variable names.
  if (visible !== undefined) return visible.split(",").filter((part) => part.trim() !== "").length;
  try {
    let count = 0;
    for await (const _ of Deno.readDir(folder)) count++;
    return count;
  } catch {
    return 0; // No driver, or another system.
  }
}

/**
 * One device for each worker, in turns; those that have one of their own keep it.
 *
 * @param device that all others would share
 */
export function spreadDevices(
  wanted: readonly (Device | undefined)[],
  device: Device,
  gpus: number,
): Device[] {
  let next = 0;
  return wanted.map((own): Device => {
    if (own !== undefined) return own;
    return device === "cuda" && gpus > 1 ? `cuda:${next++ % gpus}` : device;
  });
}
