/**
 * What a process holds of the system besides memory, from Linux' `/proc`: descriptors, and regions of shared memory. It
 * shows what sessions leave behind.
 *
 * @module
 */

import { readdir, readlink } from "node:fs/promises";
import { SHARED_MEMORY_FOLDER, SHARED_MEMORY_NAME } from "../../shared/wire/plane/shared_memory.ts";
import { readProc } from "./resident_memory.ts";

export const RESOURCES = ["descriptors", "sockets", "regions"] as const;

/** Sockets are descriptors, too; a region counts once where it is mapped, and once more while it has a name. */
export type ProcessResources = Readonly<Record<typeof RESOURCES[number], number>>;

/** @throws {TuttiError} UNIMPLEMENTED on systems without `/proc`, NOT_FOUND if the process is gone */
export async function processResources(pid: number): Promise<ProcessResources> {
  const mapped = (await readProc(pid, "maps")).split("\n")
    .filter((line) => line.includes(`${SHARED_MEMORY_FOLDER}/tutti-`));
  const named = (await readdir(SHARED_MEMORY_FOLDER))
    .filter((name) => SHARED_MEMORY_NAME.exec(name)?.[1] === String(pid));
  const folder = `/proc/${pid}/fd`;
  // One that is closed meanwhile, as the one that reads the folder, has no target any more.
  const targets = await Promise.all(
    (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => undefined)),
  );
  const open = targets.filter((target) => target !== undefined);
  return {
    descriptors: open.length,
    sockets: open.filter((target) => target.startsWith("socket:")).length,
    regions: mapped.length + named.length,
  };
}
