/** Bytes of a regular file, by range. @module */

import { FormatError, TuttiError } from "../errors.ts";
import { show } from "../show.ts";

export interface ByteRange {
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

/** @throws {FormatError} if the file is missing, cannot be read, or is a folder or device */
export async function openRegularFile(path: string): Promise<Deno.FsFile> {
  let isFile: boolean;
  try {
    // Asked before opening: opening a named pipe would wait for a writer.
    ({ isFile } = await Deno.stat(path));
    if (isFile) return await Deno.open(path, { read: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new FormatError(`Weight file ${show(path)} must exist`, { cause });
    }
    throw new FormatError(`Weight file ${show(path)} must be readable: ${cause}`, { cause });
  }
  throw new FormatError(`Weight file ${show(path)} must be a file: it is a folder or device`);
}

/** @throws {FormatError} if the file ends before the range does */
export async function readRange(
  file: Deno.FsFile,
  { begin, end }: ByteRange,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocate(end - begin, path);
  await file.seek(begin, Deno.SeekMode.Start);
  for (let filled = 0; filled < bytes.byteLength;) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) throw changedFile(path, begin + filled, end);
    filled += count;
  }
  return bytes;
}

/** The error for a file that became shorter since its header was read. */
export function changedFile(path: string, currentEnd: number, expectedEnd: number): FormatError {
  return new FormatError(
    `File ${show(path)} must not change while it is in use: ` +
      `it now ends at byte ${currentEnd}, expected at least ${expectedEnd}`,
  );
}

/** Headers bound `size` by the file's own; a sparse file can still be larger than memory. */
function allocate(size: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    throw new TuttiError(
      "RESOURCE_EXHAUSTED",
      `Cannot allocate ${size} bytes for a tensor of ${show(path)}`,
      { cause },
    );
  }
}
