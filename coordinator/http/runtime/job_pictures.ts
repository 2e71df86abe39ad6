/** A job's pictures, as answers have them that carry their bytes. @module */

import { Buffer } from "node:buffer";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import { imagesToRgb } from "../../image/pixels.ts";
import { encodePng, pngTexts } from "../../image/png.ts";
import type { PictureFolder } from "../store/picture_folder.ts";
import type { ServedJob } from "../store/served_job.ts";

export interface JobPicture {
  /** A PNG file. */
  readonly bytes: Uint8Array;
  readonly seed: string;
  readonly width: number;
  readonly height: number;
  /** How it was drawn; empty for one that was not drawn to its end. */
  readonly infotext: string;
}

/** Of a job that has succeeded. */
export async function storedPictures(
  folder: PictureFolder,
  { outputs }: ServedJob,
): Promise<JobPicture[]> {
  const pictures = await Promise.all(outputs.map(async ({ name, seed, width, height }) => {
    const bytes = await folder.read(name);
    if (!bytes) return undefined;
    const { parameters: infotext = "" } = pngTexts(bytes);
    return { bytes, seed, width, height, infotext };
  }));
  return pictures.filter((picture) => picture !== undefined);
}

/**
 * What there was of a job that ended before its last step. They do not say how they were drawn: nobody could draw them again.
 *
 * @param denoised estimate of the clean latents, f32 `[B, 4, h, w]`
 */
export async function partialPictures(
  { vae }: Ensemble,
  { spec }: ServedJob,
  denoised: F32Tensor,
): Promise<JobPicture[]> {
  return imagesToRgb(await vae.decode(denoised)).map((image, i) => ({
    bytes: encodePng({ ...image, text: {} }),
    ...{ seed: String(spec.seeds[i]), width: image.width, height: image.height, infotext: "" },
  }));
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
