/**
 * How much memory a process holds for itself, from Linux' `/proc`: private pages and shared memory. Pages of mapped
 * files do not count, as the system takes them back whenever it needs room.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";

export interface ResidentMemory {
  /** Private pages: heap, stacks, and pages of files that the process has changed. */
  readonly privateBytes: number;
  /** Pages of shared memory that the process has touched (`/dev/shm`, memfd). */
  readonly sharedBytes: number;
  /** Pages of mapped files, not counted above. */
  readonly fileBytes: number;
}

/** @throws {TuttiError} UNIMPLEMENTED on systems without `/proc`, NOT_FOUND if the process is gone */
export async function residentMemory(pid: number): Promise<ResidentMemory> {
  const smaps = await readProc(pid, "smaps_rollup");
  const status = await readProc(pid, "status");
  return {
    privateBytes: readKilobytes(smaps, "Anonymous"),
    sharedBytes: readKilobytes(status, "RssShmem"),
    fileBytes: readKilobytes(status, "RssFile"),
  };
}

/** Private and shared memory, cheap enough to ask for many times a second; off by some hundred kB per thread. */
export async function roughResidentBytes(pid: number): Promise<number> {
  const status = await readProc(pid, "status");
  return readKilobytes(status, "RssAnon") + readKilobytes(status, "RssShmem");
}

/** What counts against the memory of a machine. */
export function heldBytes({ privateBytes, sharedBytes }: ResidentMemory): number {
  return privateBytes + sharedBytes;
}

/** `/proc/PID/NAME`. @throws {TuttiError} UNIMPLEMENTED elsewhere than on Linux, NOT_FOUND if the process is gone */
export async function readProc(pid: number, name: string): Promise<string> {
  if (Deno.build.os !== "linux") {
    throw new TuttiError("UNIMPLEMENTED", "What a process holds can be measured on Linux only");
  }
  const path = `/proc/${pid}/${name}`;
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new TuttiError("NOT_FOUND", `Cannot read ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The bytes of a line as `RssAnon:      1234 kB`. */
function readKilobytes(text: string, field: string): number {
  const match = new RegExp(`^${field}:\\s*(\\d+) kB$`, "m").exec(text);
  if (!match) throw new TuttiError("UNIMPLEMENTED", `This system's /proc does not tell ${field}`);
  return Number(match[1]) * 1024;
}
