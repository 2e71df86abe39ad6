/**
 * Files that people hand over in place of a file of weights, each with the way out.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";

/** Bytes of a file's beginning that `refuseForeignFormat` looks at. */
export const SNIFFED_BYTES = 32;

const GIT_LFS_POINTER = "version https://git-lfs";
const FIRST_HEADER_BYTE = 8;

/**
 * Recognises files that are something else than safetensors.
 *
 * @param prefix the first bytes of the file, up to `SNIFFED_BYTES`
 * @throws {FormatError} saying what the file is and what to do
 */
export function refuseForeignFormat(prefix: Uint8Array, path: string): void {
  const [first, second] = prefix;
  // A safetensors length may begin with any byte, 0x80 of a pickle included, but its JSON begins with
  // "{" at byte 8. In a pickled checkpoint that byte is part of a magic number or a size.
  const looksRight = prefix[FIRST_HEADER_BYTE] === "{".charCodeAt(0);
  const isPickle = first === 0x80 && second !== undefined && second >= 2 && second <= 5;
  if (!looksRight && isPickle) {
    throw new FormatError(
      `Model file ${
        show(path)
      } must be a .safetensors file or one that torch.save() of torch 1.6 or ` +
        `later wrote: this is a bare pickle, as older ones wrote. Get the model's .safetensors version, ` +
        `or load the file where you trust it and save it again`,
    );
  }
  if (String.fromCharCode(...prefix).startsWith(GIT_LFS_POINTER)) {
    throw new FormatError(
      `Model file ${
        show(path)
      } must hold tensors: this is a git-lfs pointer, the placeholder that a ` +
        `clone without git-lfs leaves. Run "git lfs pull" in its repository, or download the file itself`,
    );
  }
}
