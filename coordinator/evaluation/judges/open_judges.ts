/** The networks of a suite, opened. @module */

import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { FormatError } from "../../../shared/errors.ts";
import { AestheticHead } from "../networks/aesthetic.ts";
import { Dinov2Network, readDinov2Config } from "../networks/dinov2.ts";
import { InceptionNetwork } from "../networks/inception.ts";
import {
  aestheticJudge,
  clipTextJudge,
  cmmdJudge,
  hpsJudge,
  pickScoreJudge,
  SuiteClip,
} from "./clip_judges.ts";
import { openImageReward } from "./image_reward_judge.ts";
import type { Judges, PictureJudge, SetJudge } from "./judge.ts";
import { configOf, findNetwork, TRANSFORMERS_FILES } from "./network_files.ts";
import { dinov2Judge, inceptionJudge } from "./set_judges.ts";

/** Keys of a suite's `[judges]`, each the path of a network. */
export const JUDGE_KEYS = [
  "clip",
  "aesthetic",
  "pickscore",
  "hpsv2",
  "image_reward",
  "inception",
  "dinov2",
] as const;
export type JudgeKey = typeof JUDGE_KEYS[number];

export type JudgePaths = Readonly<Partial<Record<JudgeKey, string>>>;

/** @throws {FormatError} naming the key whose files are missing or wrong; what was opened before is closed again */
export async function openJudges(paths: JudgePaths, options: ComputeOptions): Promise<Judges> {
  await using resources = new AsyncDisposableStack();
  const ofPictures: PictureJudge[] = [], ofSets: SetJudge[] = [];
  const openClip = async (key: JudgeKey, path: string) =>
    resources.use(await SuiteClip.open(key, path, options));
  const { clip: clipPath, aesthetic, pickscore, hpsv2, image_reward, inception, dinov2 } = paths;
  const clip = clipPath === undefined ? undefined : await openClip("clip", clipPath);
  if (clip) {
    ofPictures.push(clipTextJudge(clip));
    ofSets.push(cmmdJudge(clip));
  }
  if (aesthetic !== undefined) {
    if (!clip) {
      throw new FormatError(`"aesthetic" needs "clip": the model whose embeddings it scores`);
    }
    const head = resources.use(await AestheticHead.open(aesthetic, options));
    ofPictures.push(aestheticJudge(clip, head));
  }
  if (pickscore !== undefined) {
    ofPictures.push(pickScoreJudge(await openClip("pickscore", pickscore)));
  }
  if (hpsv2 !== undefined) ofPictures.push(hpsJudge(await openClip("hpsv2", hpsv2)));
  if (image_reward !== undefined) {
    const judge = await openImageReward("image_reward", image_reward, options);
    ofPictures.push(resources.use(judge));
  }
  if (inception !== undefined) {
    const network = resources.use(await InceptionNetwork.open(inception, options));
    ofSets.push(inceptionJudge(network));
  }
  if (dinov2 !== undefined) {
    const files = await findNetwork("dinov2", dinov2, TRANSFORMERS_FILES);
    const config = await readDinov2Config(configOf("dinov2", files));
    ofSets.push(dinov2Judge(
      resources.use(await Dinov2Network.open(files.weights, config, options)),
    ));
  }
  const owned = resources.move();
  return { ofPictures, ofSets, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
