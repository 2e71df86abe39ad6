/**
 * The few calls of the C library that shared memory takes, for Linux with glibc. All of them have the same meaning and
 * the same layout on every architecture: `statx` stands in for `fstat`, whose structure differs between machines.
 *
 * @module
 */

import { PlaneError } from "./plane_error.ts";

export const PROT_READ_WRITE = 0x3;
export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
/** Of `open`; the rest is in `node:fs`. */
export const O_CLOEXEC = 0o2000000;
export const LOCK_EXCLUSIVE_NOW = 0x2 | 0x4;

export const ERRNO = { EPERM: 1, ENOENT: 2, EACCES: 13, ENOSPC: 28, ELOOP: 40 } as const;

const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
/** Of `struct statx`, in bytes. */
const STATX = { size: 256, uid: 20, mode: 28, length: 40 } as const;
const PAGE_SIZE_NAME = 30;

const SYMBOLS = {
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  posix_fallocate: { parameters: ["i32", "i64", "i64"], result: "i32" },
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  getuid: { parameters: [], result: "u32" },
  sysconf: { parameters: ["i32"], result: "i64" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** For as long as the process lives. */
const opened = tryLibc();

/** @throws {PlaneError} UNIMPLEMENTED where there is no glibc, or no permission to call it */
export function openLibc(): Libc {
  if ("error" in opened) throw opened.error;
  return opened.libc;
}

function tryLibc(): { readonly libc: Libc } | { readonly error: PlaneError } {
  const unavailable = (reason: string, cause?: unknown) => ({
    error: new PlaneError("UNIMPLEMENTED", `Shared memory is not available: ${reason}`, { cause }),
  });
  if (Deno.build.os !== "linux") return unavailable(`${Deno.build.os} is not Linux`);
  try {
    return { libc: Deno.dlopen("libc.so.6", SYMBOLS).symbols };
  } catch (error) {
    return unavailable(error instanceof Error ? error.message : String(error), error);
  }
}

/** Of the call before, on this thread. */
export function lastErrno(libc: Libc): number {
  return new Deno.UnsafePointerView(libc.__errno_location()!).getInt32();
}

/** A zero-terminated string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

export function pageSize(libc: Libc): number {
  return Number(libc.sysconf(PAGE_SIZE_NAME));
}

export interface FileStatus {
  readonly uid: number;
  /** Kind and permissions. */
  readonly mode: number;
  readonly length: number;
}

/** What an open descriptor refers to; undefined if the system does not say. */
export function fileStatus(libc: Libc, fd: number): FileStatus | undefined {
  const bytes = new Uint8Array(STATX.size);
  if (libc.statx(fd, cString(""), AT_EMPTY_PATH, STATX_BASIC_STATS, bytes) !== 0) return undefined;
  const view = new DataView(bytes.buffer);
  const little = true; // Deno runs on no other machines.
  return {
    uid: view.getUint32(STATX.uid, little),
    mode: view.getUint16(STATX.mode, little),
    length: Number(view.getBigUint64(STATX.length, little)),
  };
}
