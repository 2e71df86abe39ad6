/**
 * Address ranges that files are mapped into, and that stay mapped for good. A typed array over memory that is no longer
 * mapped takes the process down when it is touched, however late; so a range that is given back holds zeros of its own
 * (which cost nothing until they are written) and serves the next file that fits.
 *
 * @module
 */

import {
  lastErrno,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  openLibc,
  pageSize,
  PROT_READ_WRITE,
} from "./libc.ts";
import { PlaneError } from "./plane_error.ts";

export interface AddressRange {
  readonly address: bigint;
  /** Whole pages. */
  readonly bytes: number;
}

/** Given back, longest ago first: what is stale is touched soon after or never. */
const free: AddressRange[] = [];

/** What `mmap` answers when it fails: -1. */
const MAP_FAILED = 2n ** 64n - 1n;

/**
 * Maps the first `bytes` of an open file, readable and writable, shared with all who map it.
 *
 * @throws {PlaneError} RESOURCE_EXHAUSTED
 */
export function mapFile(fd: number, bytes: number): AddressRange {
  const range = takeFree(bytes);
  if (range === undefined) {
    const address = map(0n, bytes, MAP_SHARED, fd);
    return { address, bytes: wholePages(bytes) };
  }
  map(range.address, bytes, MAP_SHARED | MAP_FIXED, fd);
  return range;
}

/** Replaces the file by zeros, which frees the file's memory once nobody else holds it. */
export function unmapFile(range: AddressRange): void {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  map(range.address, range.bytes, flags, -1);
  free.push(range);
}

/** The smallest that is large enough. */
function takeFree(bytes: number): AddressRange | undefined {
  let best = -1;
  for (const [index, range] of free.entries()) {
    if (range.bytes >= bytes && !(range.bytes >= (free[best]?.bytes ?? Infinity))) best = index;
  }
  return best < 0 ? undefined : free.splice(best, 1)[0];
}

function map(address: bigint, bytes: number, flags: number, fd: number): bigint {
  const libc = openLibc();
  const at = Deno.UnsafePointer.create(address);
  const pointer = libc.mmap(at, BigInt(bytes), PROT_READ_WRITE, flags, fd, 0n);
  const mapped = Deno.UnsafePointer.value(pointer);
  if (BigInt.asUintN(64, mapped) !== MAP_FAILED) return mapped;
  throw new PlaneError(
    "RESOURCE_EXHAUSTED",
    `Shared memory of ${bytes} bytes cannot be mapped: errno ${lastErrno(libc)}`,
  );
}

function wholePages(bytes: number): number {
  const page = pageSize(openLibc());
  return Math.ceil(bytes / page) * page;
}
