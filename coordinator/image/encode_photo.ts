/** Pictures as JPEG and WebP files: smaller than PNG and no more exact. @module */

import { userCommentExif } from "./exif.ts";
import { loadSharp } from "./load_sharp.ts";
import { encodePng, type PngImage } from "./png.ts";

/** Of 100: what the eye tells from the PNG at most side by side. */
const QUALITY = 95;

/**
 * Of the texts only `parameters` goes along, as EXIF's UserComment, where tools look for it.
 *
 * @throws {TuttiError} UNIMPLEMENTED if libvips does not load
 */
export async function encodePhoto(image: PngImage, kind: "jpeg" | "webp"): Promise<Uint8Array> {
  const { parameters } = image.text;
  const exif = parameters === undefined ? undefined : userCommentExif(parameters);
  const sharp = await loadSharp();
  // libvips takes EXIF from a file alone, so a PNG carries it there.
  const picture = sharp(encodePng({ ...image, text: {}, ...(exif && { exif }) })).keepExif();
  return kind === "jpeg"
    ? await picture.jpeg({ quality: QUALITY, chromaSubsampling: "4:4:4" }).toBuffer()
    : await picture.webp({ quality: QUALITY }).toBuffer();
}
