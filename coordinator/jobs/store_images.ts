/** From images in memory to files that say how they were made. @module */

import type { Ensemble } from "../ensemble/ensemble.ts";
import { imageAt, writeImage } from "../image/pixels.ts";
import { imageMetadata } from "./image_metadata.ts";
import type { DrawnImages } from "./run_job.ts";

/** @param paths one per image */
export async function storeImages(
  ensemble: Ensemble,
  { images, facts }: Pick<DrawnImages, "images" | "facts">,
  paths: readonly string[],
): Promise<void> {
  for (const [index, path] of paths.entries()) {
    await writeImage(path, imageAt(images, index), imageMetadata(ensemble, facts[index]!));
  }
}
