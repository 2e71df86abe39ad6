/** Kinds of picture files that are written, by the end of the name that a user gives. @module */

import { extname } from "node:path";

export type PictureKind = "png" | "jpeg" | "webp";

const KINDS: Readonly<Record<string, PictureKind>> = {
  ".png": "png",
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".webp": "webp",
};

/** `undefined` for a name that is no picture's. */
export function pictureKind(path: string): PictureKind | undefined {
  return KINDS[extname(path).toLowerCase()];
}
