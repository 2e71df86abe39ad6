/** From images in memory to files that say how they were made. @module */

import { ShapeError } from "../../shared/errors.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { writeImage } from "../image/pixels.ts";
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

/** One image of a batch, f32 `[3, H, W]`. */
export function imageAt(images: F32Tensor, index: number): F32Tensor {
  const [count = 0, ...shape] = images.shape;
  if (index >= count) throw new ShapeError(`A batch of ${count} images has no image ${index}`);
  const size = images.data.length / count;
  return f32(shape, images.data.subarray(index * size, (index + 1) * size));
}
