/**
 * Whole files that people name. A named pipe would wait for a writer for ever and a device never end: both are refused before
 * they are opened, and so is what no memory should be taken for.
 *
 * @module
 */

import { FormatError } from "./errors.ts";
import { formatBytes } from "./terminal/units.ts";

/** More than any picture or list of captions has. */
const MAX_BYTES = 2 ** 30;

/**
 * @throws {FormatError} if it is no file or has more than `maxBytes`, in words for a message that names it; what the system says
 * if it cannot be read
 */
export async function readRegularFile(
  path: string,
  maxBytes = MAX_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  const { isFile, isDirectory, size } = await Deno.stat(path);
  if (!isFile) {
    throw new FormatError(
      `it must be a file: it is a ${isDirectory ? "folder" : "pipe or device"}`,
    );
  }
  if (size > maxBytes) {
    throw new FormatError(
      `it must have at most ${formatBytes(maxBytes)}: current size is ${formatBytes(size)}`,
    );
  }
  return await Deno.readFile(path);
}

/** The same as text; a byte order mark, with which editors of Windows begin, is left out. */
export async function readRegularText(path: string, maxBytes?: number): Promise<string> {
  return new TextDecoder().decode(await readRegularFile(path, maxBytes));
}
