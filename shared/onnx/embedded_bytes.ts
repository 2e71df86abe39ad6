/** Bytes of a weight that goes into the model itself, read when the model is encoded and not kept. @module */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { gatherStrided, spannedElements } from "../tensor/strided.ts";
import type { ExternalBytes } from "./graph.ts";

/**
 * @param elementBytes size of one element
 * @throws {FormatError} if the file is gone or became shorter since it was opened
 */
export function readEmbedded(
  { path, offset, length, layout }: ExternalBytes,
  elementBytes: number,
): Uint8Array {
  if (!layout) return read(path, offset, length);
  const span = read(path, offset, spannedElements(layout) * elementBytes);
  return gatherStrided(span, layout, elementBytes);
}

function read(path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  try {
    using file = Deno.openSync(path, { read: true });
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < length;) {
      const count = file.readSync(bytes.subarray(filled));
      if (count === null) throw new Error(`it ends at byte ${offset + filled}`);
      filled += count;
    }
  } catch (cause) {
    throw new FormatError(
      `File ${show(path)} must not change while it is in use: ${(cause as Error).message}`,
      { cause },
    );
  }
  return bytes;
}
