/** Metrics on features, embeddings and tables that are given: no network is run. @module */

import { cmmd } from "../../evaluation/metrics/cmmd.ts";
import {
  clipScore,
  hesselScore,
  hpsScore,
  pairCosines,
  pickScore,
} from "../../evaluation/metrics/cosine.ts";
import { fid, frechetDistance } from "../../evaluation/metrics/frechet_distance.ts";
import { covarianceOf, gaussianFrom, meanOf } from "../../evaluation/metrics/gaussian.ts";
import { rowSoftmax, scoreOfSplits } from "../../evaluation/metrics/inception_score.ts";
import { kid, type Subset, wholeKid } from "../../evaluation/metrics/kernel_distance.ts";
import { pairedDifference } from "../../evaluation/metrics/paired_difference.ts";
import { precisionRecall } from "../../evaluation/metrics/precision_recall.ts";
import { normalizedReward } from "../../evaluation/networks/image_reward.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { RunCheck } from "./eval_folder.ts";
import { measureNumbers } from "./measure.ts";

/** What a check computes: each name of its `expect` has its numbers here. */
type Computed = Readonly<Record<string, number | ArrayLike<number>>>;

/** The inputs of a check. */
interface Inputs {
  readonly tensor: (name: string) => Promise<F32Tensor>;
  readonly value: <T>(name: string) => Promise<T>;
}

const METRICS: Readonly<Record<string, (inputs: Inputs) => Promise<Computed>>> = {
  statistics: async ({ tensor }) => {
    const features = await tensor("features");
    return { mean: meanOf(features), covariance: covarianceOf(features) };
  },
  fid: fidOfSets,
  fid_singular: fidOfSets,
  fid_2048: fidOfSets,
  fid_identical: fidOfSets,
  fid_identical_singular: fidOfSets,
  fid_gaussians: async ({ tensor }) => {
    const [a, b] = await Promise.all([1, 2].map(async (which) =>
      gaussianFrom(
        Float64Array.from((await tensor(`mean_${which}`)).data),
        Float64Array.from((await tensor(`covariance_${which}`)).data),
      )
    ));
    return { fid: frechetDistance(a!, b!) };
  },
  kid: async ({ tensor, value }) => {
    const subsets = await value<readonly Subset[]>("subsets");
    const { perSubset, ...moments } = kid(await tensor("real"), await tensor("fake"), subsets);
    return { ...moments, per_subset: perSubset };
  },
  kid_whole: async ({ tensor }) => ({ kid: wholeKid(await tensor("real"), await tensor("fake")) }),
  inception_score_10: inceptionScoreOf,
  inception_score_1: inceptionScoreOf,
  inception_score_known: async ({ value }) => {
    const splits = await value<number>("splits");
    const of = async (name: string) => scoreOfSplits(await value<number[][]>(name), splits).mean;
    return { uniform: await of("uniform"), one_hot: await of("one_hot") };
  },
  clip_t: async ({ tensor }) => withMean(pairCosines(await tensor("image"), await tensor("text"))),
  clip_score: async ({ tensor }) => {
    const cosines = pairCosines(await tensor("image"), await tensor("text"));
    return {
      hundred: withMean(cosines.map(clipScore)).mean,
      two_and_a_half: withMean(cosines.map(hesselScore)).mean,
    };
  },
  clip_i: async ({ tensor }) =>
    withMean(pairCosines(await tensor("image"), await tensor("real_image"))),
  pick_score: async ({ tensor, value }) => {
    const logitScale = await value<number>("logit_scale");
    const [image, text] = [await tensor("image"), await tensor("text")];
    const scores = pairCosines(image, text).map((cosine) => pickScore(cosine, logitScale));
    const [, width = 0] = image.shape;
    const againstFirst = { ...text, data: text.data.map((_, i) => text.data[i % width]!) };
    const [one, two] = pairCosines(image, againstFirst).map((cosine) =>
      pickScore(cosine, logitScale)
    );
    return { per_pair: scores, choice_of_two: 1 / (1 + Math.exp(two! - one!)) };
  },
  hpsv2: async ({ tensor }) => ({
    per_pair: pairCosines(await tensor("image"), await tensor("text")).map(hpsScore),
  }),
  image_reward_normalisation: async ({ value }) => ({
    reward: (await value<number[]>("raw")).map(normalizedReward),
  }),
  cmmd: async ({ tensor }) => ({ cmmd: cmmd(await tensor("real"), await tensor("fake")) }),
  precision_recall: async ({ tensor, value }) => {
    const k = await value<number>("k");
    return { ...precisionRecall(await tensor("real"), await tensor("fake"), k) };
  },
  paired_difference: async ({ value }) => {
    const [a, b] = [await value<number[]>("a"), await value<number[]>("b")];
    const [level, resamples] = [await value<number>("level"), await value<number[][]>("resamples")];
    const found = pairedDifference(a, b, { level, resamples });
    return {
      mean: found.mean,
      standard_error: found.standardError,
      bootstrap_low: found.low,
      bootstrap_high: found.high,
      wins_of_b: found.winsOfB,
      ties: found.ties,
      losses_of_b: found.lossesOfB,
      sign_test_p: found.signTestP,
    };
  },
};

/** @returns how a check of this name is run; undefined if it is not built */
export function metricCheck(name: string): RunCheck | undefined {
  const compute = METRICS[name.replace(/^metrics\./, "")];
  if (!compute) return undefined;
  return async (folder, check) => {
    const computed = await compute({
      tensor: (input) => folder.f32(check, check.inputs[input]),
      value: async <T>(input: string) => await folder.value(check, check.inputs[input]) as T,
    });
    return await Promise.all(
      Object.entries(check.expect).map(async ([output, reference]) =>
        measureNumbers(check, output, computed[output], await folder.numbers(check, reference))
      ),
    );
  };
}

async function fidOfSets({ tensor }: Inputs): Promise<Computed> {
  return { fid: fid(await tensor("real"), await tensor("fake")) };
}

async function inceptionScoreOf({ tensor, value }: Inputs): Promise<Computed> {
  const { perSplit, ...moments } = scoreOfSplits(
    rowSoftmax(await tensor("logits")),
    await value<number>("splits"),
  );
  return { ...moments, per_split: perSplit };
}

function withMean(values: readonly number[]) {
  return { per_pair: values, mean: values.reduce((sum, value) => sum + value, 0) / values.length };
}
