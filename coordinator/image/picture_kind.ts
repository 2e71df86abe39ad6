/** Kinds of picture files that are written, by the end of the name that a user gives. @module */

import { extname } from "node:path";

export type PictureKind = "png" | "jpeg" | "webp";

const KINDS: Readonly<Record<string, PictureKind>> = {
  ".png": "png",
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".webp": "webp",
};

/** Ends of pictures' names that are not written. */
const OTHER_KINDS = /\.(avif|bmp|gif|heic|heif|ico|jp2|jxl|pbm|pdf|pgm|ppm|psd|svg|tga|tiff?)$/i;

/** Whether a name is that of a picture of a kind that is not written. */
export function isOtherKind(path: string): boolean {
  return OTHER_KINDS.test(path);
}

export const WRITTEN_KINDS = Object.keys(KINDS).join(", ");

/** `undefined` for a name that is no picture's. */
export function pictureKind(path: string): PictureKind | undefined {
  return KINDS[extname(path).toLowerCase()];
}
