/** A picture of any kind that people have as pixels: PNG without a native library where it is of the usual kind, else by libvips. @module */

import { FormatError } from "../../shared/errors.ts";
import { readRegularFile } from "../../shared/regular_file.ts";
import { foreignFormat, SNIFFED_BYTES } from "../../shared/weight_file/foreign_formats.ts";
import { decodePhoto, type PhotoKind, photoKind, photoSize } from "./photo.ts";
import { decodePng, isUsualPng, pngSize } from "./png.ts";
import type { RgbImage } from "./resize.ts";

/** Pictures that people have but that are not read, by their first bytes in hex; dots stand for any. */
const OTHER_PICTURES: readonly (readonly [name: string, begins: RegExp])[] = [
  ["GIF", /^474946/],
  ["BMP", /^424d/],
  ["TIFF", /^(49492a00|4d4d002a|49492b00|4d4d002b)/],
  // Both begin with a box "ftyp", which holds the brand: avif, avis, heic, ...
  ["AVIF", /^.{8}66747970(61766966|61766973)/],
  ["HEIC", /^.{8}66747970(68656963|68656978|68657663|6d696631|6d736631)/],
  ["JPEG XL", /^(ff0a|0000000c4a584c20)/],
  ["JPEG 2000", /^(0000000c6a502020|ff4fff51)/],
];
const CONVERT = `"magick mogrify -format png *" converts a folder`;

/** As `decodeImage()`, of the header alone. */
export async function imageSize(bytes: Uint8Array): Promise<Pick<RgbImage, "width" | "height">> {
  const kind = libvipsKind(bytes);
  return kind ? await photoSize(bytes, kind) : pngSize(bytes);
}

/** @throws {FormatError} if the file is no PNG, JPEG or WebP that can be read: says what it is */
export async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  const kind = libvipsKind(bytes);
  return kind ? await decodePhoto(bytes, kind) : decodePng(bytes);
}

/** @throws {FormatError} as `decodeImage()`, or if the file cannot be read */
export async function readImage(path: string): Promise<RgbImage> {
  return await decodeImage(await readRegularFile(path));
}

/** `undefined` for what our own reader of PNG reads, or says best what is wrong with. */
function libvipsKind(bytes: Uint8Array): PhotoKind | undefined {
  const kind = photoKind(bytes);
  if (kind === undefined) refuseOthers(bytes);
  return kind === "PNG" && isUsualPng(bytes) ? undefined : kind;
}

function refuseOthers(bytes: Uint8Array): never {
  const prefix = bytes.subarray(0, SNIFFED_BYTES), hex = prefix.toHex();
  const picture = OTHER_PICTURES.find(([, begins]) => begins.test(hex));
  const what = picture
    ? `it is ${picture[0]}; ${CONVERT}`
    : bytes.length === 0
    ? "it is empty"
    : `it is ${foreignFormat(prefix)?.what ?? "of no kind that is known"}`;
  throw new FormatError(`Image must be PNG, JPEG or WebP: ${what}`);
}
