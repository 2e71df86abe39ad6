/**
 * JPEG and WebP files, and PNG files of unusual kinds, read with libvips: turned as their EXIF orientation says, in sRGB, 8 bits a
 * channel, without alpha, which can be read by itself.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { loadSharp } from "./load_sharp.ts";
import { MAX_PIXELS, type RgbImage } from "./resize.ts";

/** First bytes; WebP's are those of other RIFF files, too, which libvips then refuses. */
const SIGNATURES = {
  PNG: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  JPEG: [0xff, 0xd8, 0xff],
  WebP: [0x52, 0x49, 0x46, 0x46],
} as const;

export type PhotoKind = keyof typeof SIGNATURES;

export function photoKind(bytes: Uint8Array): PhotoKind | undefined {
  return (Object.keys(SIGNATURES) as PhotoKind[])
    .find((kind) => SIGNATURES[kind].every((byte, i) => bytes[i] === byte));
}

/**
 * Width and height as it is seen; reads the file's header alone.
 *
 * @throws {FormatError} if there is no header that can be read, or the image is too large
 */
export async function photoSize(
  bytes: Uint8Array,
  kind: PhotoKind,
): Promise<Pick<RgbImage, "width" | "height">> {
  const sharp = await loadSharp();
  // The limit is checked here, with a message that names the size.
  const { autoOrient } = await sharp(bytes, { limitInputPixels: false }).metadata()
    .catch((cause) => fail(kind, cause));
  const { width, height } = autoOrient;
  if (width * height > MAX_PIXELS) {
    throw new FormatError(
      `${kind} image must have at most ${MAX_PIXELS} pixels: current size is ${width}x${height}`,
    );
  }
  return { width, height };
}

/** @throws {FormatError} if the file is damaged, cut off, or too large */
export async function decodePhoto(bytes: Uint8Array, kind: PhotoKind): Promise<RgbImage> {
  // Before memory is taken.
  await photoSize(bytes, kind);
  const sharp = await loadSharp();
  const { data, info: { width, height, channels } } = await sharp(bytes, { failOn: "error" })
    .autoOrient().toColourspace("srgb").removeAlpha().raw()
    .toBuffer({ resolveWithObject: true }).catch((cause) => fail(kind, cause));
  if (channels !== 3) {
    throw new FormatError(`${kind} image must have 3 channels: current count is ${channels}`);
  }
  return { width, height, rgb: data };
}

/**
 * How transparent each pixel is, as a grey picture: white where nothing of it is seen.
 *
 * @returns `undefined` if the file has no alpha channel
 * @throws {FormatError} as `decodePhoto()`
 */
export async function decodeTransparency(
  bytes: Uint8Array,
  kind: PhotoKind,
): Promise<RgbImage | undefined> {
  // Before memory is taken.
  await photoSize(bytes, kind);
  const sharp = await loadSharp();
  const image = sharp(bytes, { failOn: "error" });
  const { hasAlpha } = await image.metadata().catch((cause) => fail(kind, cause));
  if (!hasAlpha) return undefined;
  const { data, info: { width, height, channels } } = await image
    .autoOrient().extractChannel("alpha").negate().toColourspace("srgb").raw()
    .toBuffer({ resolveWithObject: true }).catch((cause) => fail(kind, cause));
  const rgb = Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => data[Math.floor(i / 3) * channels]!,
  );
  return { width, height, rgb };
}

function fail(kind: PhotoKind, cause: unknown): never {
  const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
  throw new FormatError(`${kind} image cannot be read: ${reason}`, { cause });
}
