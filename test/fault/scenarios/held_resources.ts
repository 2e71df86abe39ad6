/** What the processes of a cluster hold: memory, descriptors, shared memory. @module */

import { processResources } from "../../../coordinator/bench/process_resources.ts";
import { heldBytes, residentMemory } from "../../../coordinator/bench/resident_memory.ts";
import { TuttiError } from "../../../shared/errors.ts";

export interface ProcessHolding {
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly sockets: number;
  /** Regions of shared memory. */
  readonly regions: number;
}

export interface HeldResources {
  readonly coordinator: ProcessHolding;
  /** Of each figure the largest. */
  readonly workers: ProcessHolding;
}

/** The coordinator's V8 returns memory late, and a connection may be there or not. */
const SLACK: ProcessHolding = {
  residentBytes: 64 * 2 ** 20,
  descriptors: 16,
  sockets: 12,
  regions: 0,
};

/** Garbage of this process does not count where it can be collected: with `--v8-flags=--expose-gc`. */
const { gc } = globalThis as { gc?: () => void };

/** Resident bytes of this process. */
export async function ownResidentBytes(): Promise<number> {
  gc?.();
  return heldBytes(await residentMemory(Deno.pid));
}

/** @param pids of the workers; the coordinator is this process */
export async function heldResources(pids: readonly number[]): Promise<HeldResources> {
  gc?.();
  const workers = (await Promise.all(pids.map(holdingOf))).filter((worker) => worker !== undefined);
  const most = (key: keyof ProcessHolding) => Math.max(...workers.map((worker) => worker[key]));
  return {
    coordinator: (await holdingOf(Deno.pid))!,
    workers: {
      residentBytes: most("residentBytes"),
      descriptors: most("descriptors"),
      sockets: most("sockets"),
      regions: most("regions"),
    },
  };
}

/** What is more than it was, beyond what may vary; undefined if nothing is. */
export function outgrown(
  { before, after }: { readonly before: HeldResources; readonly after: HeldResources },
): string | undefined {
  const grown = (["coordinator", "workers"] as const).flatMap((who) =>
    (Object.keys(SLACK) as (keyof ProcessHolding)[])
      .filter((key) => after[who][key] > before[who][key] + SLACK[key])
      .map((key) => `${who}: ${key} ${before[who][key]} -> ${after[who][key]}`)
  );
  return grown.length === 0 ? undefined : grown.join("; ");
}

/** Undefined for a process that has ended. */
async function holdingOf(pid: number): Promise<ProcessHolding | undefined> {
  try {
    const [memory, { descriptors, sockets, regions }] = await Promise.all([
      residentMemory(pid),
      processResources(pid),
    ]);
    return { residentBytes: heldBytes(memory), descriptors, sockets, regions };
  } catch (error) {
    if (TuttiError.from(error).code === "NOT_FOUND") return undefined;
    throw error;
  }
}
