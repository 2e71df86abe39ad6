/**
 * Images and texts that are ready to train with: every image was read once, its latents are in the cache, its text is ids. What cannot
 * be read is left out and told.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { FormatError, throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { readRegularFile } from "../../../shared/regular_file.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import type { Vae } from "../../sampling/vae.ts";
import { decodeImage, imageSize } from "../../image/read_image.ts";
import { checkResized, cropImage, drawCrop } from "./image_file.ts";
import type { DataRecord, SkippedFile } from "./records.ts";
import type { TensorCache } from "./tensor_cache.ts";

/** The VAE's distribution of the unscaled latents, f32 `[1, 4, h, w]` each. */
export interface LatentDistribution {
  readonly mean: F32Tensor;
  readonly logvar: F32Tensor;
}

export interface Example {
  readonly imagePath: string;
  readonly text: string;
  /** As long as the text encoder takes. */
  readonly inputIds: readonly number[];
  latents(): Promise<LatentDistribution>;
}

export interface Examples {
  readonly examples: readonly Example[];
  readonly skipped: readonly SkippedFile[];
  /** Texts whose end was cut. */
  readonly cutTexts: number;
  /** SHA-256 over images, crops and texts in order, hex. */
  readonly hash: string;
}

export interface PrepareOptions {
  readonly vae: Pick<Vae, "encode" | "config">;
  /** Of its weights. */
  readonly vaeHash: string;
  readonly tokenizer: ClipTokenizer;
  /** L of the text encoders. */
  readonly maxLength: number;
  /** Height and width in pixels, a multiple of the VAE's factor. */
  readonly size: number;
  /** Of the crops. */
  readonly seed: bigint;
  readonly cache: TensorCache;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** @throws {FormatError} if no image can be read */
export async function prepareExamples(
  records: readonly DataRecord[],
  options: PrepareOptions,
): Promise<Examples> {
  const { tokenizer, maxLength, onProgress, signal } = options;
  const examples: Example[] = [];
  const skipped: SkippedFile[] = [];
  const hash = createHash("sha256");
  let cutTexts = 0;
  for (const [i, { imagePath, text }] of records.entries()) {
    throwIfAborted(signal);
    try {
      const { latents, key } = await prepareImage(imagePath, options);
      const { inputIds, cutText } = encodePrompt(tokenizer, text, maxLength);
      if (cutText !== "") cutTexts++;
      hash.update(JSON.stringify([key, inputIds]));
      examples.push({ imagePath, text, inputIds, latents });
    } catch (error) {
      skipped.push({ path: imagePath, reason: reasonToSkip(error) });
    }
    onProgress?.(i + 1);
  }
  if (examples.length === 0) {
    const [first] = skipped;
    throw new FormatError(
      `Training data must have an image that can be read: skipped ${skipped.length}` +
        (first ? `, "${first.path}": ${first.reason}` : ""),
    );
  }
  return { examples, skipped, cutTexts, hash: hash.digest("hex") };
}

/** @throws what is no fault of the file */
function reasonToSkip(error: unknown): string {
  if (error instanceof FormatError) return error.message;
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return "it may not be read";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  throw TuttiError.from(error);
}

async function prepareImage(
  path: string,
  { vae, vaeHash, size, seed, cache }: PrepareOptions,
): Promise<{
  readonly latents: () => Promise<LatentDistribution>;
  readonly key: readonly (string | number)[];
}> {
  const bytes = await readRegularFile(path);
  const fileHash = createHash("sha256").update(bytes).digest("hex");
  const found = await imageSize(bytes);
  checkResized(found, size);
  const crop = drawCrop(found, size, seed, fileHash);
  const key = ["latents", vaeHash, fileHash, crop.size, crop.top, crop.left];
  // The same weights under another configuration are another VAE; the factor is applied later.
  const cacheKey = [...key, JSON.stringify({ ...vae.config, scalingFactor: undefined })];
  const get = async (read: () => Promise<Uint8Array> | Uint8Array) => {
    // One image a call: the bits must not depend on what else was missing.
    const compute = async () => ({
      ...await vae.encode(cropImage(await decodeImage(await read()), crop)),
    });
    const { mean, logvar } = await cache.get(cacheKey, ["mean", "logvar"], compute);
    return { mean: mean!, logvar: logvar! };
  };
  // An image whose latents are in the cache is not decoded again.
  await get(() => bytes);
  return { latents: () => get(() => readRegularFile(path)), key };
}

/** Bounds of the log variance, diffusers'. */
const MIN_LOGVAR = -30, MAX_LOGVAR = 20;

/**
 * Clean latents as the U-Net has them: a sample of the VAE's distribution, scaled.
 *
 * @param noise standard normal, in the latents' shape
 */
export function sampleLatents(
  { mean, logvar }: LatentDistribution,
  noise: F32Tensor,
  scalingFactor: number,
): F32Tensor {
  return f32(
    mean.shape,
    mean.data.map((value, i) => {
      const bounded = Math.min(MAX_LOGVAR, Math.max(MIN_LOGVAR, logvar.data[i]!));
      return scalingFactor * (value + Math.exp(bounded / 2) * noise.data[i]!);
    }),
  );
}

/** Examples that tell what a VAE's distributions are like. */
const EXAMPLES_TO_TELL = 32;
/** SD's VAE has 1e-6 of this, one that never learnt a variance about 1. */
const MOST_NOISE = 0.05;

/**
 * Whether the variance within the VAE's distributions is small beside that of their means. It is not where the VAE was trained without a
 * term for it: samples are then nothing that the experts have seen.
 */
export async function areSamplesUsable(examples: readonly Example[]): Promise<boolean> {
  let [count, sum, squares, noise] = [0, 0, 0, 0];
  for (const example of examples.slice(0, EXAMPLES_TO_TELL)) {
    const { mean, logvar } = await example.latents();
    mean.data.forEach((value, i) => {
      count++;
      sum += value;
      squares += value * value;
      noise += Math.exp(Math.min(MAX_LOGVAR, logvar.data[i]!));
    });
  }
  const variance = squares / count - (sum / count) ** 2;
  return noise / count <= MOST_NOISE * variance;
}
