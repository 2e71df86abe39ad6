/** ImageReward as a judge: a folder with the network, its config, and BERT's `vocab.txt`. @module */

import { dirname, join } from "node:path";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { FormatError } from "../../../shared/errors.ts";
import { readRegularText } from "../../../shared/regular_file.ts";
import {
  ImageRewardNetwork,
  normalizedReward,
  readImageRewardConfig,
  TEXT_LENGTH,
} from "../networks/image_reward.ts";
import { CLIP_STATISTICS, normalize, stack } from "../preprocessing/normalize.ts";
import { middleSquare } from "../preprocessing/square_pixels.ts";
import { WordPieceTokenizer } from "../preprocessing/wordpiece.ts";
import type { PictureJudge } from "./judge.ts";
import { configOf, findNetwork, IMAGE_REWARD_FILES } from "./network_files.ts";

/** @throws {FormatError} if files are missing or do not fit each other */
export async function openImageReward(
  key: string,
  path: string,
  options: ComputeOptions,
): Promise<PictureJudge & AsyncDisposable> {
  const files = await findNetwork(key, path, IMAGE_REWARD_FILES);
  const config = await readImageRewardConfig(configOf(key, files));
  const vocabulary = join(dirname(files.weights), "vocab.txt");
  const pieces = await readRegularText(vocabulary).catch((cause) => {
    throw new FormatError(
      `"${key}" needs the vocabulary of bert-base-uncased beside its weights: cannot read "${vocabulary}"`,
      { cause },
    );
  });
  const tokenizer = new WordPieceTokenizer(pieces.trimEnd().split(/\r?\n/), TEXT_LENGTH);
  const network = await ImageRewardNetwork.open(files.weights, config, options);
  return {
    name: "ImageReward",
    score: async ({ image, prompt }) => {
      const square = middleSquare(image, { size: config.vision.imageSize, rounding: "even" });
      const tokens = await network.imageTokens(stack([normalize(square, CLIP_STATISTICS)]));
      const [raw] = await network.rawScores(tokens, [tokenizer.encode(prompt)]);
      return normalizedReward(raw!);
    },
    [Symbol.asyncDispose]: () => network[Symbol.asyncDispose](),
  };
}
