/**
 * Removes what a process left that was killed after it created a region and before it removed the name. Called when a
 * worker starts.
 *
 * @module
 */

import { constants } from "node:fs";
import { cString, LOCK_EXCLUSIVE_NOW, O_CLOEXEC, openLibc } from "./libc.ts";
import { SHARED_MEMORY_FOLDER, SHARED_MEMORY_NAME } from "./shared_memory.ts";

/**
 * Containers may share the folder and not see each other's processes: a region is an orphan only if its creator is not
 * among the processes that we see and holds no lock on it any more. Never throws.
 *
 * @returns the names that are gone now
 */
export function sweepSharedMemory(): string[] {
  let libc: ReturnType<typeof openLibc>;
  try {
    libc = openLibc();
  } catch {
    return []; // Where there is no shared memory, nothing is left of it.
  }
  return regionNames().filter(({ name, pid }) => {
    if (libc.kill(pid, 0) === 0) return false;
    const path = cString(`${SHARED_MEMORY_FOLDER}/${name}`);
    // Somebody else's cannot be opened, so it stays.
    const fd = libc.open(path, constants.O_RDWR | constants.O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) return false;
    try {
      return libc.flock(fd, LOCK_EXCLUSIVE_NOW) === 0 && libc.unlink(path) === 0;
    } finally {
      libc.close(fd);
    }
  }).map(({ name }) => name);
}

function regionNames(): { name: string; pid: number }[] {
  try {
    return [...Deno.readDirSync(SHARED_MEMORY_FOLDER)].flatMap(({ name }) => {
      const pid = Number(SHARED_MEMORY_NAME.exec(name)?.[1]);
      // Larger ones would be another process when cut to 32 bits.
      return pid > 0 && pid < 2 ** 31 ? [{ name, pid }] : [];
    });
  } catch {
    return [];
  }
}
