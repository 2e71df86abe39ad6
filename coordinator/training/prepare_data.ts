/** From a path to rows that an ensemble can be trained or measured with. @module */

import { firstText } from "../../shared/engine/choose_text.ts";
import { UsageError } from "../../shared/errors.ts";
import { encodePrompt } from "../../shared/tokenizer/prompt.ts";
import { agreedSchedule } from "../ensemble/agreed_schedule.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { alphasCumprod } from "../sampling/samplers/noise_schedule.ts";
import { areSamplesUsable, type Examples, prepareExamples } from "./dataset/examples.ts";
import type { DataRecords } from "./dataset/records.ts";
import { TensorCache } from "./dataset/tensor_cache.ts";
import { TextCache } from "./dataset/text_cache.ts";
import { NoisyRows } from "./noisy_rows.ts";

export interface DataSettings {
  readonly data: DataRecords;
  /** Of the crops. */
  readonly seed: bigint;
  /** Height and width in pixels. @default what the experts were trained at */
  readonly size?: number;
  /**
   * What is taken of the VAE's distributions: samples, as the paper does, or means. @default samples, unless they are
   * mostly noise
   */
  readonly latents?: "sample" | "mean";
  /** Folder of what was computed of images and texts. */
  readonly cache: string;
  /** Records that are used, the first ones. @default all */
  readonly most?: number;
}

export interface PrepareDataOptions extends DataSettings {
  /** Told how many images of how many are prepared. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface PreparedData extends Examples {
  readonly rows: NoisyRows;
  readonly size: number;
  readonly latents: "sample" | "mean";
}

/** @throws {TuttiError} of whatever is wrong first */
export async function prepareData(
  ensemble: Ensemble,
  { data, seed, most = Infinity, onProgress, signal, ...settings }: PrepareDataOptions,
): Promise<PreparedData> {
  const { experts, vae, vaeHash, tokenizers: [tokenizer, secondTokenizer] } = ensemble;
  const { description } = experts[0]!;
  const { config } = agreedSchedule(ensemble);
  const size = settings.size ?? description.sampleSize * vae.factor;
  if (size % vae.factor !== 0) {
    throw new UsageError(`--size must be a multiple of ${vae.factor}: current value is ${size}`);
  }
  const records = data.records.slice(0, most);
  const cache = new TensorCache(settings.cache);
  const { maxLength } = firstText(description);
  const prepared = await prepareExamples(records, {
    ...{ vae, vaeHash, tokenizer, maxLength, size, seed, cache },
    ...(onProgress && { onProgress: (done: number) => onProgress(done, records.length) }),
    ...(signal && { signal }),
  });
  const latents = settings.latents ??
    (await areSamplesUsable(prepared.examples) ? "sample" : "mean");
  const rows = new NoisyRows({
    texts: new TextCache(experts, {
      cache,
      ...(secondTokenizer && { secondPadId: secondTokenizer.padTokenId }),
    }),
    emptyIds: encodePrompt(tokenizer, "", maxLength).inputIds,
    alphasCumprod: alphasCumprod(config),
    predictionType: config.predictionType,
    scalingFactor: vae.config.scalingFactor,
    samplesLatents: latents === "sample",
    latentShape: [description.latentChannels, size / vae.factor, size / vae.factor],
    size,
  });
  const skipped = [...data.skipped, ...prepared.skipped];
  return { ...prepared, skipped, rows, size, latents };
}
