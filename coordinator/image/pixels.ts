/**
 * From the VAE decoder's output to a picture on disk.
 *
 * @module
 */

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ShapeError, TuttiError } from "../../shared/errors.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { encodePhoto } from "./encode_photo.ts";
import { pictureKind } from "./picture_kind.ts";
import { encodePng } from "./png.ts";
import type { RgbImage } from "./resize.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

/** Height and width of an image tensor. */
function sizeOf({ shape }: F32Tensor): { height: number; width: number } {
  const [channels, height, width] = shape;
  if (shape.length !== 3 || channels !== 3) {
    throw new ShapeError(`Image must have shape [3, H, W]: current shape is [${shape.join(", ")}]`);
  }
  return { height: height!, width: width! };
}

/**
 * Bytes of an image as diffusers makes them (`VaeImageProcessor`: x / 2 + 0.5, clamped to 0..1, times
 * 255, rounded half to even, all in f32).
 *
 * @param image f32 `[3, H, W]`, nominally in -1..1, not yet clamped
 * @returns red, green, blue by pixel, `[H, W, 3]`
 * @throws {ShapeError} if the shape is another
 * @throws {TuttiError} DATA_LOSS if a value is NaN: a black pixel would hide that sampling went wrong
 */
export function imageToRgb(image: F32Tensor): Uint8Array {
  const { height, width } = sizeOf(image);
  const plane = height * width;
  // Stores to this array clamp to 0..255 and round half to even.
  const rgb = new Uint8ClampedArray(plane * 3);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < plane; i++) {
      const value = image.data[c * plane + i]!;
      if (Number.isNaN(value)) {
        throw new TuttiError(
          "DATA_LOSS",
          `Image must have numbers only: current value at [${c}, ${Math.floor(i / width)}, ` +
            `${i % width}] is NaN`,
        );
      }
      rgb[i * 3 + c] = Math.fround(Math.fround(Math.fround(value * 0.5) + 0.5) * 255);
    }
  }
  return new Uint8Array(rgb.buffer);
}

/** One image of a batch, f32 `[3, H, W]`. */
export function imageAt(images: F32Tensor, index: number): F32Tensor {
  const [count = 0, ...shape] = images.shape;
  if (index >= count) throw new ShapeError(`A batch of ${count} images has no image ${index}`);
  const size = images.data.length / count;
  return f32(shape, images.data.subarray(index * size, (index + 1) * size));
}

/** Each image of a batch, f32 `[B, 3, H, W]`. @throws as `imageToRgb()` */
export function imagesToRgb(images: F32Tensor): RgbImage[] {
  return Array.from({ length: images.shape[0]! }, (_, i) => {
    const image = imageAt(images, i);
    return { ...sizeOf(image), rgb: imageToRgb(image) };
  });
}

/**
 * Writes `image` as a file of the kind that its name says, else as PNG; missing folders are made. The file appears whole or
 * not at all: an interrupted run leaves no half picture under the name the user asked for.
 *
 * @param image f32 `[3, H, W]`, as for `imageToRgb`
 * @param text chunks of a PNG; of other kinds as `encodePhoto()` says
 * @throws {TuttiError} if the file cannot be written
 */
export async function writeImage(
  path: string,
  image: F32Tensor,
  text: Readonly<Record<string, string>> = {},
): Promise<void> {
  const png = { ...sizeOf(image), rgb: imageToRgb(image), text };
  const kind = pictureKind(path) ?? "png";
  const bytes = kind === "png" ? encodePng(png) : await encodePhoto(png, kind);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeWholeFile(path, bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError("UNKNOWN", `Cannot write image "${path}": ${reason}`, { cause });
  }
}
