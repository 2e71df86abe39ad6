/**
 * Memory that two processes of one user on one host have in common: the fastest way for a tensor to travel is not to.
 * The server creates a region and hands out its name; the client opens it; the server removes the name as soon as both
 * have mapped it, so that nothing is left to find, to guess or to clean up. A client never names a region.
 *
 * A region is a plain `ArrayBuffer` at a page boundary, and ONNX Runtime reads and writes it in place. Neither end sees
 * when the other writes: they agree on turns through the control stream.
 *
 * @module
 */

import { constants } from "node:fs";
import type { Code } from "../../errors.ts";
import { type AddressRange, mapFile, unmapFile } from "./address_range.ts";
import {
  cString,
  ERRNO,
  fileStatus,
  lastErrno,
  LOCK_EXCLUSIVE_NOW,
  O_CLOEXEC,
  openLibc,
} from "./libc.ts";
import { mismatch, PlaneError } from "./plane_error.ts";

export interface SharedMemory extends Disposable {
  readonly name: string;
  /** Of the first byte, at a page boundary. */
  readonly address: bigint;
  /** The region. Once disposed it holds zeros, and later those of another region: let go of it. */
  readonly buffer: ArrayBuffer;
  /** Removes the name; who has mapped the region keeps it. May be called again. */
  unlink(): void;
}

/** Where Linux keeps files that are nothing but memory. */
export const SHARED_MEMORY_FOLDER = "/dev/shm";
/** The process that created the region, and 128 random bits. */
export const SHARED_MEMORY_NAME = /^tutti-([1-9][0-9]{0,9})-([0-9a-f]{32})$/;

const OWNER_ONLY = 0o600;

/**
 * A new region of zeros.
 *
 * @throws {PlaneError} UNIMPLEMENTED without Linux, glibc and permission for FFI; RESOURCE_EXHAUSTED if the memory is not
 * there, which would otherwise kill the process when it is touched
 */
export function createSharedMemory(bytes: number): SharedMemory {
  checkBytes(bytes);
  const libc = openLibc();
  const random = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const name = `tutti-${Deno.pid}-${random}`;
  const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW } = constants;
  const flags = O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC;
  const fd = openFile(name, flags);
  try {
    // Held until the name is gone: tells `sweepSharedMemory()`, whatever it sees of our process, that we live.
    libc.flock(fd, LOCK_EXCLUSIVE_NOW);
    const error = libc.ftruncate(fd, BigInt(bytes)) === 0
      ? libc.posix_fallocate(fd, 0n, BigInt(bytes))
      : lastErrno(libc);
    if (error !== 0) {
      throw new PlaneError(
        "RESOURCE_EXHAUSTED",
        `Shared memory of ${bytes} bytes cannot be had from ${SHARED_MEMORY_FOLDER}: ` +
          (error === ERRNO.ENOSPC ? "no space is left" : `errno ${error}`),
        { details: { bytes: String(bytes), errno: String(error) } },
      );
    }
    return new MappedRegion(name, bytes, mapFile(fd, bytes), fd);
  } catch (error) {
    libc.unlink(cString(pathOf(name)));
    libc.close(fd);
    throw error;
  }
}

/**
 * The region that a server on this host created.
 *
 * @throws {PlaneError} INVALID_ARGUMENT if it is not such a name, NOT_FOUND if nothing has it, PERMISSION_DENIED if
 * it is somebody else's, FAILED_PRECONDITION if it is not a region of `bytes` bytes; UNIMPLEMENTED, RESOURCE_EXHAUSTED
 * like `createSharedMemory`
 */
export function openSharedMemory(name: string, bytes: number): SharedMemory {
  checkBytes(bytes);
  if (!SHARED_MEMORY_NAME.test(name)) {
    // Hostile names may be long, and have control characters.
    const shown = JSON.stringify(name.slice(0, 80));
    throw mismatch("INVALID_ARGUMENT", "Name of shared memory", "tutti-PID-HEX", shown);
  }
  const libc = openLibc();
  const fd = openFile(name, constants.O_RDWR | constants.O_NOFOLLOW | O_CLOEXEC);
  try {
    checkFile(libc, fd, name, bytes);
    return new MappedRegion(name, bytes, mapFile(fd, bytes));
  } finally {
    libc.close(fd);
  }
}

class MappedRegion implements SharedMemory {
  readonly name: string;
  readonly address: bigint;
  readonly buffer: ArrayBuffer;
  #range: AddressRange | undefined;
  /** The creator's, while the name is there. */
  #lockedFd: number | undefined;
  #linked = true;

  constructor(name: string, bytes: number, range: AddressRange, lockedFd?: number) {
    this.name = name;
    this.address = range.address;
    const pointer = Deno.UnsafePointer.create(range.address)!;
    this.buffer = new Deno.UnsafePointerView(pointer).getArrayBuffer(bytes) as ArrayBuffer;
    this.#range = range;
    this.#lockedFd = lockedFd;
  }

  unlink(): void {
    if (!this.#linked) return;
    this.#linked = false;
    const libc = openLibc();
    libc.unlink(cString(pathOf(this.name)));
    if (this.#lockedFd !== undefined) libc.close(this.#lockedFd);
  }

  [Symbol.dispose](): void {
    // Who opened a region leaves the name to who created it.
    if (this.#lockedFd !== undefined) this.unlink();
    const range = this.#range;
    this.#range = undefined;
    if (range !== undefined) unmapFile(range);
  }
}

function pathOf(name: string): string {
  return `${SHARED_MEMORY_FOLDER}/${name}`;
}

function openFile(name: string, flags: number): number {
  const libc = openLibc();
  const fd = libc.open(cString(pathOf(name)), flags, OWNER_ONLY);
  if (fd >= 0) return fd;
  const errno = lastErrno(libc);
  throw new PlaneError(
    openErrorCode(errno),
    `Shared memory ${name} cannot be opened: errno ${errno}`,
    { details: { name, errno: String(errno) } },
  );
}

function openErrorCode(errno: number): Code {
  switch (errno) {
    case ERRNO.ENOENT:
      return "NOT_FOUND";
    case ERRNO.EPERM:
    case ERRNO.EACCES:
      return "PERMISSION_DENIED";
    case ERRNO.ELOOP: // A symbolic link.
      return "FAILED_PRECONDITION";
    default:
      return "UNAVAILABLE";
  }
}

function checkFile(
  libc: ReturnType<typeof openLibc>,
  fd: number,
  name: string,
  bytes: number,
): void {
  const status = fileStatus(libc, fd);
  if (status === undefined) throw new PlaneError("UNAVAILABLE", `No status of ${name}`);
  const { uid, mode, length } = status;
  const kind = mode & constants.S_IFMT;
  if (kind !== constants.S_IFREG) {
    throw mismatch("FAILED_PRECONDITION", `Kind of ${name}`, "a regular file", kind.toString(8));
  }
  const ours = libc.getuid();
  if (uid !== ours) throw mismatch("PERMISSION_DENIED", `Owner of ${name}`, ours, uid);
  const permissions = mode & 0o7777;
  if (permissions !== OWNER_ONLY) {
    throw mismatch("PERMISSION_DENIED", `Mode of ${name}`, "600", permissions.toString(8));
  }
  if (length !== bytes) {
    throw mismatch("FAILED_PRECONDITION", `Length of ${name} in bytes`, bytes, length);
  }
}

function checkBytes(bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes > 0) return;
  throw mismatch("INVALID_ARGUMENT", "Bytes of shared memory", "a whole number > 0", bytes);
}
