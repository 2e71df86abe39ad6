/** The picture that a job starts from, and the mask of what is drawn anew: files, and what the sampling loop is given of them. @module */

import { createHash } from "node:crypto";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import { f32, type F32Tensor, repeatRows } from "../../shared/tensor/tensor.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import { readImage } from "../image/read_image.ts";
import { BICUBIC } from "../image/resample.ts";
import { resizeBytes, type RgbImage } from "../image/resize.ts";
import type { StartPicture } from "../sampling/start_picture.ts";
import type { Vae } from "../sampling/vae.ts";
import { gaussianBlur } from "../image/gaussian_blur.ts";
import { PIXELS_PER_LATENT } from "../settings/limits.ts";
import type { ImageSize } from "../settings/picture_values.ts";
import { flagOf } from "../settings/setting.ts";
import type { JobSpec } from "./job_spec.ts";

/** As stable-diffusion-webui has them. */
export const DEFAULT_STRENGTH = 0.75, DEFAULT_MASK_BLUR = 4;

export interface InitPicture {
  readonly image: RgbImage;
  /** White where something is drawn, black where the picture stays. */
  readonly mask?: RgbImage;
}

/** One that fits a job's size. */
export interface FittedPicture {
  readonly image: RgbImage;
  /** 0..1 by pixel, blurred; 0 where nothing changes. */
  readonly mask?: Float32Array;
  /** Of all that the bits of a run follow from. */
  readonly sha256: string;
}

/** @throws {FormatError} if a file cannot be read, or is no picture */
export async function readInitPicture(init: string, mask?: string): Promise<InitPicture> {
  const image = await readPicture("--init", init);
  return { image, ...(mask !== undefined && { mask: await readPicture("--mask", mask) }) };
}

async function readPicture(flag: string, path: string): Promise<RgbImage> {
  try {
    return await readImage(path);
  } catch (cause) {
    throw new FormatError(`Cannot read ${flag} ${show(path)}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The picture's size, in whole parts of what any VAE takes. */
export function ownSize({ image }: InitPicture): ImageSize {
  const whole = (pixels: number) =>
    Math.max(1, Math.round(pixels / PIXELS_PER_LATENT)) * PIXELS_PER_LATENT;
  return { width: whole(image.width), height: whole(image.height) };
}

/**
 * Picture and mask in the size that is drawn: stretched, as stable-diffusion-webui's "Just resize".
 *
 * @throws {UsageError} if the job is about a start picture and has none
 */
export function fitPicture(
  init: InitPicture | undefined,
  { strength, maskBlur }: Pick<JobSpec, "strength" | "maskBlur">,
  { width, height }: { readonly width: number; readonly height: number },
): FittedPicture | undefined {
  if (!init) {
    const given = Object.entries({ strength, maskBlur }).find(([, value]) => value !== undefined);
    if (given === undefined) return undefined;
    throw new UsageError(
      `${
        flagOf(given[0])
      } needs a picture to start from: give --init; jobs of the queue carry none`,
    );
  }
  const image = resizeBytes(init.image, width, height, BICUBIC);
  const hash = createHash("sha256").update(image.rgb);
  if (!init.mask) return { image, sha256: hash.digest("hex") };
  const { rgb } = resizeBytes(init.mask, width, height, BICUBIC);
  // A grey picture: its channels are equal, or their mean is meant.
  const white = Float32Array.from(
    { length: width * height },
    (_, i) => (rgb[3 * i]! + rgb[3 * i + 1]! + rgb[3 * i + 2]!) / 765,
  );
  const mask = gaussianBlur(white, { width, height }, maskBlur ?? DEFAULT_MASK_BLUR);
  hash.update(new Uint8Array(mask.buffer));
  return { image, mask, sha256: hash.digest("hex") };
}

/** What sampling starts from. @param images of the batch, which all start from the same picture */
export async function startPicture(
  { image, mask }: FittedPicture,
  { vae, strength = DEFAULT_STRENGTH, images }: {
    readonly vae: Vae;
    readonly strength?: number | undefined;
    readonly images: number;
  },
): Promise<StartPicture> {
  const { mean } = await vae.encode(imageTensor(image));
  // The mean, not a draw: with strength 0 the result is the VAE's round trip.
  const latents = lincomb([[vae.config.scalingFactor, mean]]);
  return {
    latents: repeatRows(latents, images),
    strength,
    ...(mask && { mask: latentMask(mask, image, vae.factor) }),
  };
}

/**
 * The picture's own pixels where the mask is black, and shares of both where it is grey.
 *
 * @param images f32 `[B, 3, H, W]` in -1..1
 */
export function pasteUnmasked(images: F32Tensor, { image, mask }: FittedPicture): F32Tensor {
  if (!mask) return images;
  const own = imageTensor(image).data;
  const pixels = mask.length;
  const pasted = f32(images.shape);
  images.data.forEach((value, i) => {
    const share = mask[i % pixels]!;
    const kept = own[i % own.length]!;
    pasted.data[i] = share === 1 ? value : share === 0 ? kept : share * value + (1 - share) * kept;
  });
  return pasted;
}

/** f32 `[1, 3, H, W]` in -1..1. */
function imageTensor({ width, height, rgb }: RgbImage): F32Tensor {
  const pixels = width * height;
  const tensor = f32([1, 3, height, width]);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) tensor.data[c * pixels + i] = rgb[3 * i + c]! / 127.5 - 1;
  }
  return tensor;
}

/** The mean of what each latent pixel covers, f32 `[h, w]`. */
function latentMask(mask: Float32Array, { width, height }: RgbImage, factor: number): F32Tensor {
  const [columns, rows] = [width / factor, height / factor];
  const means = f32([rows, columns]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = Math.floor(y / factor) * columns + Math.floor(x / factor);
      means.data[at]! += mask[y * width + x]! / factor ** 2;
    }
  }
  return means;
}
