/**
 * Latents and texts of many scenes in memory, for training and measuring denoisers. Latents are the means of the VAE's distributions,
 * scaled; they are kept in a file, since a run that goes on would take minutes to compute them again.
 *
 * @module
 */

import { exists } from "../../../shared/checkpoint/exists.ts";
import { throwIfAborted } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import type { Vae } from "../../sampling/vae.ts";
import { drawScenes, sceneAt, type SceneStream } from "./scene_images.ts";

/** Pictures that are encoded together. */
const BATCH = 32;

export interface SceneLatents {
  /** f32 `[N, 4, h, w]` */
  readonly latents: F32Tensor;
  /** Of each scene's caption. */
  readonly inputIds: readonly (readonly number[])[];
}

export interface SceneLatentsOptions {
  readonly vae: Vae;
  readonly tokenizer: ClipTokenizer;
  readonly maxLength: number;
  readonly imageSize: number;
  /** Where latents are kept. The VAE and the stream must be the same whenever this file is. */
  readonly file?: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export async function sceneLatents(
  stream: SceneStream,
  count: number,
  { tokenizer, maxLength, file, ...options }: SceneLatentsOptions,
): Promise<SceneLatents> {
  const inputIds = Array.from(
    { length: count },
    (_, i) => encodePrompt(tokenizer, sceneAt(stream, i).caption, maxLength).inputIds,
  );
  if (file !== undefined && await exists(file)) {
    const kept = await SafetensorsFile.open(file);
    return { latents: (await kept.read("latents")) as F32Tensor, inputIds };
  }
  const latents = await encode(stream, count, options);
  if (file !== undefined) await writeSafetensors(file, { latents });
  return { latents, inputIds };
}

async function encode(
  stream: SceneStream,
  count: number,
  { vae, imageSize, onProgress, signal }: Omit<SceneLatentsOptions, "tokenizer" | "maxLength">,
): Promise<F32Tensor> {
  const { latentChannels, scalingFactor } = vae.config;
  const size = imageSize / vae.factor;
  const latents = f32([count, latentChannels, size, size]);
  for (let first = 0; first < count; first += BATCH) {
    throwIfAborted(signal);
    const length = Math.min(BATCH, count - first);
    const scenes = Array.from({ length }, (_, i) => sceneAt(stream, first + i));
    const { mean } = await vae.encode(drawScenes(scenes, imageSize));
    const start = first * latentChannels * size * size;
    latents.data.set(mean.data.map((value) => scalingFactor * value), start);
    onProgress?.(first + length, count);
  }
  return latents;
}
