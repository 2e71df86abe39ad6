/** The mean of the experts: of their features after every block, or of their noises. Neither needs training. @module */

import { UsageError } from "../../../shared/errors.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { UniformAggregator } from "../aggregation.ts";
import { aggregationPlan } from "../aggregation_plan.ts";
import type { NoisePrediction } from "../guidance.ts";
import type { MethodContext, MethodDefinition } from "./definition.ts";
import { featureMethod } from "./feature_method.ts";
import type { EnsemblingMethod, MethodStep } from "./method.ts";
import type { MethodOptions } from "./method_text.ts";
import { shareOf, type Weight, weightsOf } from "./weights.ts";

export const AVERAGE: MethodDefinition = {
  name: "average",
  aliases: ["uniform", "block-average", "block-wise-averaging"],
  summary: "the mean of the experts' features after every block; needs no training",
  takesBlocks: true,
  build: (_, context) => average("average", context),
};

export const NOISE_AVERAGE: MethodDefinition = {
  name: "noise-average",
  aliases: ["noise-averaging"],
  summary:
    "the mean of the experts' noises; NAME=0.7,NAME=0.3, or weights that change from the first step to the last as NAME=0.9>0.1",
  build: buildNoiseAverage,
};

function average(name: string, { aggregated, experts, blocks }: MethodContext): EnsemblingMethod {
  return featureMethod({
    name,
    aggregator: new UniformAggregator(),
    experts: experts.length,
    blocks,
    aggregated,
    conditions: { sabwHash: "uniform" },
  });
}

function buildNoiseAverage(options: MethodOptions, context: MethodContext): EnsemblingMethod {
  const { experts, blocks } = context;
  const weights = weightsOf(options, experts);
  if (!weights) return average("noise-average", { ...context, aggregated: "noise" });
  if (weights.some((weight) => Array.isArray(weight))) {
    throw new UsageError(
      "Method noise-average takes one weight an expert: blocks have none of their own",
    );
  }
  const all = experts.map((_, i) => i);
  const segments = aggregationPlan(blocks, "noise");
  return {
    name: "noise-average",
    conditions: { method: `noise-average ${JSON.stringify(weights)}` },
    plan: () => ({ experts: all, segments }),
    combineNoise: (predictions, step) => weightedNoise(predictions, weights, step),
  };
}

/** `eps = sum_i w_i(s) eps_i`, half by half. */
function weightedNoise(
  predictions: readonly NoisePrediction[],
  weights: readonly Weight[],
  step: MethodStep,
): NoisePrediction {
  const sum = (half: "conditional" | "unconditional") =>
    lincomb(predictions.map((each, i) => [shareOf(weights[i]!, step), each[half]!] as const));
  return {
    conditional: sum("conditional"),
    ...(predictions[0]!.unconditional && { unconditional: sum("unconditional") }),
  };
}
