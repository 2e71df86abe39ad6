/** Networks that judge pictures, on inputs that are given; and with their preprocessing, from a picture to its score. @module */

import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { rowSoftmax } from "../../evaluation/metrics/inception_score.ts";
import {
  hpsScore,
  normalizedRows,
  pairCosines,
  pickScore,
} from "../../evaluation/metrics/cosine.ts";
import { AestheticHead } from "../../evaluation/networks/aesthetic.ts";
import { ClipNetwork } from "../../evaluation/networks/clip.ts";
import { readClipConfig } from "../../evaluation/networks/clip_config.ts";
import {
  Dinov2Network,
  positionTable,
  readDinov2Config,
} from "../../evaluation/networks/dinov2.ts";
import {
  ImageRewardNetwork,
  normalizedReward,
  readImageRewardConfig,
} from "../../evaluation/networks/image_reward.ts";
import { InceptionNetwork } from "../../evaluation/networks/inception.ts";
import { hpsPixels } from "../../evaluation/preprocessing/hps_pixels.ts";
import { inceptionPixels } from "../../evaluation/preprocessing/inception_pixels.ts";
import {
  CLIP_STATISTICS,
  IMAGENET_STATISTICS,
  normalize,
  stack,
} from "../../evaluation/preprocessing/normalize.ts";
import { middleSquare, type SquareOptions } from "../../evaluation/preprocessing/square_pixels.ts";
import type { WordPieces } from "../../evaluation/preprocessing/wordpiece.ts";
import type { RgbImage } from "../../image/resize.ts";
import type { EvalCheck, EvalFolder, RunCheck } from "./eval_folder.ts";
import { measureNumbers } from "./measure.ts";
import { readPicture } from "./preprocessing_checks.ts";

/** The inputs of one check. */
class Inputs {
  readonly lane: ComputeOptions;
  readonly #folder: EvalFolder;
  readonly #check: EvalCheck;

  constructor(folder: EvalFolder, check: EvalCheck, lane: ComputeOptions) {
    this.#folder = folder;
    this.#check = check;
    this.lane = lane;
  }

  path(name: string): string {
    return this.#folder.file(this.#check.inputs[name] as string);
  }

  number(name: string): number {
    return this.#check.inputs[name] as number;
  }

  tensor(name: string): Promise<F32Tensor> {
    return this.#folder.f32(this.#check, this.#check.inputs[name]);
  }

  /** A tensor of the file that an input names. */
  tensorOf(name: string, key: string): Promise<F32Tensor> {
    return this.#folder.f32(this.#check, `${this.#check.inputs[name]}#${key}`);
  }

  async rows(name: string): Promise<number[][]> {
    const { shape: [, width = 0], data } = await this.#folder.tensor(
      this.#check,
      this.#check.inputs[name],
    );
    const all = Array.from(data as ArrayLike<number | bigint>, Number);
    return Array.from(
      { length: all.length / width },
      (_, i) => all.slice(i * width, (i + 1) * width),
    );
  }

  pictures(): Promise<RgbImage[]> {
    const names = this.#check.inputs.png as readonly string[];
    return Promise.all(names.map((name) => readPicture(this.#folder, name)));
  }

  /** The pictures cut to squares and normalised, as one batch. */
  async squares(
    options: SquareOptions,
    statistics = CLIP_STATISTICS,
  ): Promise<F32Tensor> {
    const pictures = await this.pictures();
    return stack(pictures.map((one) => normalize(middleSquare(one, options), statistics)));
  }
}

type Computed = Readonly<Record<string, ArrayLike<number>>>;

const CHECKS: Readonly<Record<string, (inputs: Inputs) => Promise<Computed>>> = {
  "networks.aesthetic": async (inputs) => {
    await using head = await AestheticHead.open(inputs.path("model"), inputs.lane);
    return { scores: await head.scores(await inputs.tensor("image_embeds")) };
  },
  "networks.clip": async (inputs) => {
    await using clip = await openClip(inputs);
    const images = await clip.embedImages(await inputs.tensor("pixel_values"));
    const texts = await clip.embedTexts(await inputs.rows("input_ids"));
    const cosine = allCosines(images, texts);
    return {
      image_embeds: images.data,
      text_embeds: texts.data,
      cosine,
      logits_per_image: cosine.map((value) => pickScore(value, clip.logitScale)),
    };
  },
  "networks.inception": async (inputs) => {
    await using network = await InceptionNetwork.open(inputs.path("model"), inputs.lane);
    const { pool3, logits, unbiasedLogits } = await network.run(await inputs.tensor("x"));
    return {
      pool3: pool3.data,
      logits: logits.data,
      logits_unbiased: unbiasedLogits.data,
      probabilities: rowSoftmax(logits).flatMap((row) => [...row]),
    };
  },
  "networks.dinov2": async (inputs) => {
    await using network = await openDinov2(inputs);
    const pixels = await inputs.tensor("pixel_values");
    return {
      last_hidden_state: (await network.hiddenStates(pixels)).data,
      features: (await network.features(pixels)).data,
    };
  },
  "networks.dinov2.hub_positions": async (inputs) => {
    const table = await inputs.tensorOf("model", "embeddings.position_embeddings");
    const [rows, columns] = [inputs.number("rows"), inputs.number("columns")];
    return { position_embeddings: positionTable(table, rows, columns, HUB_OFFSET).data };
  },
  "networks.image_reward": async (inputs) => {
    const texts = await wordPieces(inputs);
    await using network = await openImageReward(inputs, texts);
    const tokens = await network.imageTokens(await inputs.tensor("pixel_values"));
    const raw = await network.rawScores(tokens, texts);
    return { image_tokens: tokens.data, raw, reward: raw.map(normalizedReward) };
  },
  "pipelines.clip": async (inputs) => {
    await using clip = await openClip(inputs);
    const images = await clip.embedImages(
      await inputs.squares({ size: inputs.number("image_size") }),
    );
    const cosines = pairCosines(images, await clip.embedTexts(await inputs.rows("input_ids")));
    return {
      clip_t: cosines,
      clip_i: allCosines(images, images),
      pick_score: cosines.map((cosine) => pickScore(cosine, clip.logitScale)),
    };
  },
  "pipelines.hpsv2": async (inputs) => {
    await using clip = await openClip(inputs);
    const size = inputs.number("image_size");
    const pictures = (await inputs.pictures()).map((picture) => hpsPixels(picture, { size }));
    const images = await clip.embedImages(stack(pictures));
    const texts = await clip.embedTexts(await inputs.rows("input_ids"));
    return { hpsv2: pairCosines(images, texts).map(hpsScore) };
  },
  "pipelines.inception": async (inputs) => {
    await using network = await InceptionNetwork.open(inputs.path("model"), inputs.lane);
    const pictures = (await inputs.pictures()).map((picture) => inceptionPixels(picture, "fid"));
    const { pool3, unbiasedLogits } = await network.run(stack(pictures));
    return { pool3: pool3.data, logits_unbiased: unbiasedLogits.data };
  },
  "pipelines.image_reward": async (inputs) => {
    const pixels = await inputs.squares({ size: inputs.number("image_size"), rounding: "even" });
    const texts = (await wordPieces(inputs)).slice(0, pixels.shape[0]);
    await using network = await openImageReward(inputs, texts);
    const raw = await network.rawScores(await network.imageTokens(pixels), texts);
    return { reward: raw.map(normalizedReward) };
  },
  "pipelines.dinov2": async (inputs) => {
    await using network = await openDinov2(inputs);
    const pixels = await inputs.squares({ size: 224, shortSide: 256 }, IMAGENET_STATISTICS);
    return { features: (await network.features(pixels)).data };
  },
};

/** torch-hub's, to the number of rows and columns where it reckons the scale of the table of positions. */
const HUB_OFFSET = 0.1;

/** @returns how a check of this name is run; undefined if it is not built */
export function networkCheck(name: string, lane: ComputeOptions): RunCheck | undefined {
  // "networks.clip_gelu.open_clip" is "networks.clip" with other files.
  const general = name.replace(/^(networks\.clip)_.*$/, "$1")
    .replace(/^(networks\.dinov2)\.(native|other)$/, "$1");
  const compute = CHECKS[general];
  if (!compute) return undefined;
  return async (folder, check) => {
    const computed = await compute(new Inputs(folder, check, lane));
    return await Promise.all(
      Object.entries(check.expect).map(async ([output, reference]) =>
        measureNumbers(check, output, computed[output], await folder.numbers(check, reference))
      ),
    );
  };
}

async function openClip(inputs: Inputs): Promise<ClipNetwork> {
  const config = await readClipConfig(inputs.path("config"));
  return await ClipNetwork.open(inputs.path("model"), config, inputs.lane);
}

async function openDinov2(inputs: Inputs): Promise<Dinov2Network> {
  const config = await readDinov2Config(inputs.path("config"));
  return await Dinov2Network.open(inputs.path("model"), config, inputs.lane);
}

async function openImageReward(
  inputs: Inputs,
  texts: readonly WordPieces[],
): Promise<ImageRewardNetwork> {
  const config = await readImageRewardConfig(inputs.path("config"));
  const length = texts[0]!.inputIds.length;
  return await ImageRewardNetwork.open(inputs.path("model"), config, inputs.lane, length);
}

async function wordPieces(inputs: Inputs): Promise<WordPieces[]> {
  const masks = await inputs.rows("attention_mask");
  return (await inputs.rows("input_ids")).map((inputIds, i) => ({
    inputIds,
    attentionMask: masks[i]!,
  }));
}

/** Of each row of a with each of b. */
function allCosines(a: F32Tensor, b: F32Tensor): number[] {
  const d = a.shape[1]!;
  const [p, q] = [normalizedRows(a), normalizedRows(b)];
  const rows = (data: Float64Array) =>
    Array.from({ length: data.length / d }, (_, i) => data.subarray(i * d, (i + 1) * d));
  return rows(p).flatMap((row) =>
    rows(q).map((other) => row.reduce((sum, value, k) => sum + value * other[k]!, 0))
  );
}
