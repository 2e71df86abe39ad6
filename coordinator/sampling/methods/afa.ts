/**
 * Adaptive Feature Aggregation, the paper's method: SABW weighs the experts' features pixel by pixel after every block; and
 * its ablation that weighs their noises alone. On request the weights are changed before they are used.
 *
 * @module
 */

import { isUnchanged, ReweightedAggregator, type Reweighting } from "./reweighted_attention.ts";
import type { MethodContext, MethodDefinition } from "./definition.ts";
import { featureMethod } from "./feature_method.ts";
import type { EnsemblingMethod } from "./method.ts";
import type { MethodOptions } from "./method_text.ts";

const OPTIONS = "temperature=T, top=K, without=NAME, bias=NAME:x";

export const AFA: MethodDefinition = {
  name: "afa",
  aliases: ["sabw", "adaptive-feature-aggregation"],
  summary:
    `the paper: SABW weighs the experts' features pixel by pixel after every block; ${OPTIONS}`,
  takesBlocks: true,
  usesSabw: true,
  build: (options, context) => afa("afa", options, context),
};

export const LAST_BLOCK: MethodDefinition = {
  name: "last-block",
  aliases: ["only-last-block"],
  summary: `the paper's ablation: experts run on their own, SABW weighs their noises; ${OPTIONS}`,
  usesSabw: true,
  build: (options, context) => afa("last-block", options, { ...context, aggregated: "noise" }),
};

function afa(
  name: string,
  options: MethodOptions,
  { sabw, aggregated, experts, blocks }: MethodContext,
): EnsemblingMethod {
  const { aggregator, hash, aggregatedBlocks } = sabw!;
  const reweighting = readReweighting(options, experts.length);
  const isExact = isUnchanged(reweighting, experts.length);
  return featureMethod({
    name,
    aggregator: isExact ? aggregator : new ReweightedAggregator(aggregator, reweighting),
    experts: experts.length,
    blocks,
    aggregated: aggregated ?? aggregatedBlocks,
    conditions: {
      sabwHash: hash,
      ...(!isExact && { method: `${name} ${JSON.stringify(reweighting)}` }),
    },
  });
}

function readReweighting(options: MethodOptions, experts: number): Reweighting {
  const bias = options.expertNumber("bias");
  return {
    temperature: options.number("temperature", { min: 0.01, max: 1e6 }) ?? 1,
    top: options.number("top", { min: 1, max: experts, isWhole: true }) ?? experts,
    without: options.expert("without") ?? null,
    bias: bias ?? null,
  };
}
