/** What a device can still give. @module */

import type { Device } from "../../shared/lane/protocol.ts";

/** @returns bytes; `undefined` where nobody tells */
export async function freeMemory(device: Device): Promise<number | undefined> {
  if (device === "cpu") return Deno.systemMemoryInfo().available;
  if (!device.startsWith("cuda")) return undefined;
  try {
    const { stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=index,memory.free", "--format=csv,noheader,nounits"],
      stderr: "null",
    }).output();
    return parseFree(new TextDecoder().decode(stdout), Number(device.slice("cuda:".length)));
  } catch {
    return undefined; // No such program: there is no driver, or it is not installed.
  }
}

/** @param listing a line of index and free MiB for each GPU */
export function parseFree(listing: string, gpu: number): number | undefined {
  const rows = listing.trim().split("\n").map((line) => line.split(",").map(Number));
  const free = rows.find(([index]) => index === gpu)?.[1];
  return Number.isFinite(free) ? free! * 2 ** 20 : undefined;
}
