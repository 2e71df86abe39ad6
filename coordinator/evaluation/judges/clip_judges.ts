/** Judges on CLIP's embeddings: CLIP-T, PickScore, HPSv2 and AES of pictures, CMMD of sets. @module */

import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { FormatError } from "../../../shared/errors.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { RgbImage } from "../../image/resize.ts";
import { cmmdFrom } from "../metrics/cmmd.ts";
import { clipScore, hpsScore, pairCosines, pickScore } from "../metrics/cosine.ts";
import type { AestheticHead } from "../networks/aesthetic.ts";
import { ClipNetwork } from "../networks/clip.ts";
import { readClipConfig } from "../networks/clip_config.ts";
import { hpsPixels } from "../preprocessing/hps_pixels.ts";
import { CLIP_STATISTICS, normalize, stack } from "../preprocessing/normalize.ts";
import { middleSquare } from "../preprocessing/square_pixels.ts";
import type { PictureJudge, SetJudge } from "./judge.ts";
import { CLIP_FILES, configOf, findNetwork } from "./network_files.ts";

/** A CLIP model of a suite with its tokenizer. */
export class SuiteClip implements AsyncDisposable {
  readonly #key: string;
  readonly #network: ClipNetwork;
  readonly #tokenizer: ClipTokenizer;
  readonly #texts = new Map<string, Promise<F32Tensor>>();
  /** Several judges look at the same picture. */
  readonly #images = new WeakMap<RgbImage, Promise<F32Tensor>>();

  private constructor(key: string, network: ClipNetwork, tokenizer: ClipTokenizer) {
    this.#key = key;
    this.#network = network;
    this.#tokenizer = tokenizer;
  }

  /**
   * @param key of the suite that names it
   * @throws {FormatError} if files are missing or do not fit each other
   */
  static async open(key: string, path: string, options: ComputeOptions): Promise<SuiteClip> {
    const files = await findNetwork(key, path, CLIP_FILES);
    const config = await readClipConfig(configOf(key, files));
    const tokenizer = await ClipTokenizer.load(undefined);
    if (config.text.vocabSize < tokenizer.vocabSize) {
      throw new FormatError(
        `"${key}" must know CLIP's ${tokenizer.vocabSize} tokens: "${path}" knows ${config.text.vocabSize}`,
      );
    }
    return new SuiteClip(key, await ClipNetwork.open(files.weights, config, options), tokenizer);
  }

  get logitScale(): number {
    return this.#network.logitScale;
  }

  /** Of the middle of a picture, f32 `[1, P]`. */
  embedImage(image: RgbImage): Promise<F32Tensor> {
    let embedding = this.#images.get(image);
    if (!embedding) {
      const square = middleSquare(image, { size: this.#size });
      embedding = this.#network.embedImages(stack([normalize(square, CLIP_STATISTICS)]));
      this.#images.set(image, embedding);
    }
    return embedding;
  }

  /** Of a picture as HPSv2 prepares it. */
  embedWhole(image: RgbImage): Promise<F32Tensor> {
    return this.#network.embedImages(stack([hpsPixels(image, { size: this.#size })]));
  }

  /** f32 `[1, P]`; what does not fit into the model's context is cut off. */
  embedText(prompt: string): Promise<F32Tensor> {
    let embedding = this.#texts.get(prompt);
    if (!embedding) {
      const { maxLength } = this.#network.config.text;
      const { inputIds } = encodePrompt(this.#tokenizer, prompt, maxLength);
      embedding = this.#network.embedTexts([inputIds]);
      this.#texts.set(prompt, embedding);
    }
    return embedding;
  }

  /** @throws {FormatError} if the predictor is for embeddings of another width */
  checkWidth(head: AestheticHead): void {
    const { projectionDim } = this.#network.config;
    if (head.width === projectionDim) return;
    throw new FormatError(
      `"aesthetic" must be for the CLIP of "${this.#key}", whose embeddings have ${projectionDim} numbers: ` +
        `it is for ${head.width}`,
    );
  }

  get #size(): number {
    return this.#network.config.vision.imageSize;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#network[Symbol.asyncDispose]();
  }
}

/** 100 times the cosine of picture and prompt, not below 0. */
export function clipTextJudge(clip: SuiteClip): PictureJudge {
  return {
    name: "CLIP-T",
    score: async ({ image, prompt }) =>
      clipScore(await cosineOf(clip.embedImage(image), clip.embedText(prompt))),
  };
}

export function pickScoreJudge(clip: SuiteClip): PictureJudge {
  return {
    name: "PickScore",
    score: async ({ image, prompt }) =>
      pickScore(await cosineOf(clip.embedImage(image), clip.embedText(prompt)), clip.logitScale),
  };
}

export function hpsJudge(clip: SuiteClip): PictureJudge {
  return {
    name: "HPSv2",
    score: async ({ image, prompt }) =>
      hpsScore(await cosineOf(clip.embedWhole(image), clip.embedText(prompt))),
  };
}

export function aestheticJudge(clip: SuiteClip, head: AestheticHead): PictureJudge {
  clip.checkWidth(head);
  return {
    name: "AES",
    score: async ({ image }) => (await head.scores(await clip.embedImage(image)))[0]!,
  };
}

export function cmmdJudge(clip: SuiteClip): SetJudge {
  return {
    names: ["CMMD"],
    features: async (image) => [await clip.embedImage(image)],
    against: ([real]) => {
      const from = cmmdFrom(real!);
      return ([fake]) => [from(fake!)];
    },
  };
}

async function cosineOf(image: Promise<F32Tensor>, text: Promise<F32Tensor>): Promise<number> {
  return pairCosines(await image, await text)[0]!;
}
