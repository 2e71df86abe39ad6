/**
 * EXIF with one field, UserComment: where stable-diffusion-webui writes the infotext of JPEG and WebP files, and where
 * readers look for it. Layout: TIFF 6.0, big-endian; two directories of one entry each, then the comment.
 *
 * @module
 */

import { Buffer } from "node:buffer";

const EXIF_DIRECTORY = 0x8769, USER_COMMENT = 0x9286;
const LONG = 4, UNDEFINED = 7;
/** Count of entries, one entry of 12 bytes, no next directory. */
const DIRECTORY_BYTES = 2 + 12 + 4;
const HEADER_BYTES = 8;
/** What a JPEG's segment holds, less what writers add around it. */
const MAX_BYTES = 65_000;

/** `undefined` where the text is too long for EXIF: 32,000 characters. */
export function userCommentExif(text: string): Uint8Array | undefined {
  const comment = Buffer.concat([
    Buffer.from("UNICODE\0", "latin1"),
    // Big-endian whatever the rest is, as webui writes it.
    Buffer.from(text, "utf16le").swap16(),
  ]);
  const exif = Buffer.alloc(HEADER_BYTES + 2 * DIRECTORY_BYTES);
  exif.write("MM\0*", "latin1");
  exif.writeUInt32BE(HEADER_BYTES, 4);
  const second = HEADER_BYTES + DIRECTORY_BYTES;
  writeDirectory(exif, HEADER_BYTES, [EXIF_DIRECTORY, LONG, 1, second]);
  writeDirectory(exif, second, [USER_COMMENT, UNDEFINED, comment.length, exif.length]);
  return exif.length + comment.length > MAX_BYTES ? undefined : Buffer.concat([exif, comment]);
}

function writeDirectory(
  exif: Buffer,
  offset: number,
  [tag, type, count, value]: readonly [tag: number, type: number, count: number, value: number],
): void {
  exif.writeUInt16BE(1, offset);
  exif.writeUInt16BE(tag, offset + 2);
  exif.writeUInt16BE(type, offset + 4);
  exif.writeUInt32BE(count, offset + 6);
  exif.writeUInt32BE(value, offset + 10);
}
