/**
 * The ensembling methods that users can name, one row each: the only place that knows all of them.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import type { BlockSpec } from "../../../shared/models/blocks.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import { type Aggregator, UniformAggregator } from "../aggregation.ts";
import { type AggregatedBlocks, aggregationPlan } from "../aggregation_plan.ts";
import { type NoisePrediction, usesGuidance } from "../guidance.ts";
import { OneHotAggregator } from "../one_hot_aggregator.ts";
import { featureMethod } from "./feature_method.ts";
import { magicFusion } from "./magic_fusion.ts";
import type { EnsemblingMethod } from "./method.ts";
import { MethodOptions, parseMethod } from "./method_text.ts";
import { SWITCH_UNITS, switchedExpert, type SwitchPart } from "./switch.ts";

/** Trained aggregators, for the methods that need them. */
export interface TrainedSabw {
  readonly aggregator: Aggregator;
  /** SHA-256 over their weights. */
  readonly hash: string;
  /** What they were trained to aggregate. */
  readonly aggregatedBlocks: AggregatedBlocks;
}

/** What a method is built for. */
export interface MethodContext {
  /** Names of the ensemble's experts, in its order. */
  readonly experts: readonly string[];
  readonly blocks: readonly BlockSpec[];
  readonly sabw?: TrainedSabw | undefined;
  readonly guidanceScale: number;
  /** Other blocks to aggregate than the method's own. */
  readonly aggregated?: AggregatedBlocks | undefined;
}

export interface MethodDefinition {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Whether users may say which blocks are aggregated. */
  readonly takesBlocks?: boolean;
  /** Whether it weighs experts with trained aggregators, pixel by pixel: then there are attention maps to keep. */
  readonly usesSabw?: boolean;
  /** Whether it looks at what guidance does. */
  readonly usesGuidance?: boolean;
  build(options: MethodOptions, context: MethodContext): EnsemblingMethod;
}

export const METHODS: readonly MethodDefinition[] = [
  {
    name: "afa",
    aliases: ["sabw", "adaptive-feature-aggregation"],
    summary: "the paper: SABW weighs the experts' features pixel by pixel after every block",
    takesBlocks: true,
    usesSabw: true,
    build: (_, context) => afa("afa", context),
  },
  {
    name: "last-block",
    aliases: ["only-last-block"],
    summary: "the paper's ablation: experts run on their own, SABW weighs their noises",
    usesSabw: true,
    build: (_, context) => afa("last-block", { ...context, aggregated: "noise" }),
  },
  {
    name: "average",
    aliases: ["uniform", "block-average", "block-wise-averaging"],
    summary: "the mean of the experts' features after every block; needs no training",
    takesBlocks: true,
    build: (_, context) => average("average", context),
  },
  {
    name: "noise-average",
    aliases: ["noise-averaging"],
    summary: "the mean of the experts' noises; needs no training",
    build: (_, context) => average("noise-average", { ...context, aggregated: "noise" }),
  },
  {
    name: "one-hot",
    aliases: ["onehot"],
    summary: "one expert inside the ensemble's pipeline, as a control: one-hot:NAME",
    takesBlocks: true,
    build(options, context) {
      const index = options.only();
      return featureMethod({
        name: `one-hot:${context.experts[index]}`,
        aggregator: new OneHotAggregator(() => index),
        experts: context.experts.length,
        blocks: context.blocks,
        aggregated: context.aggregated,
        conditions: { method: `one-hot ${index}` },
      });
    },
  },
  {
    name: "magicfusion",
    aliases: ["magic-fusion", "saliency-aware-noise-blending"],
    summary:
      "at each pixel the noise of the expert whose guidance stands out most; uncond=own|general, general=NAME, NAME=k, after=t or before=t",
    usesGuidance: true,
    build: buildMagicFusion,
  },
  {
    name: "switch",
    aliases: ["timestep-switch"],
    summary:
      "one expert after the other: switch:NAME=0,NAME=0.4 by the share of steps done, or by=sigma, by=timestep",
    build: buildSwitch,
  },
];

/** What an ensemble plays where nobody says otherwise. */
export function defaultMethod(hasSabw: boolean): string {
  return hasSabw ? "afa" : "average";
}

/** @throws {UsageError} with the nearest name and the list */
export function findMethod(name: string): MethodDefinition {
  const found = METHODS.find((method) => [method.name, ...method.aliases].includes(name));
  if (found) return found;
  const names = METHODS.map(({ name }) => name);
  throw new UsageError(
    `The method must be one of ${names.join(", ")}: current value is "${name}"` +
      didYouMean(name, names),
  );
}

/** What a method asks of an ensemble and a job. */
export interface MethodFacts {
  readonly hasSabw: boolean;
  readonly guidanceScale: number;
  readonly aggregated?: AggregatedBlocks | undefined;
}

/**
 * Finds a method by what users write, and refuses one that does not fit: all that can be told before experts are open.
 *
 * @throws {UsageError} if it is not known, or needs what is not there
 */
export function fittingMethod(text: string, facts: MethodFacts): MethodDefinition {
  const definition = findMethod(parseMethod(text).name);
  const { name, usesSabw, takesBlocks } = definition;
  if (usesSabw && !facts.hasSabw) {
    throw new UsageError(
      `Method ${name} needs trained aggregators (SABW): name their folder, or take average`,
    );
  }
  if (definition.usesGuidance && !usesGuidance(facts.guidanceScale)) {
    throw new UsageError(
      `Method ${name} compares what guidance does to each expert's noise: it needs a guidance scale other than 1`,
    );
  }
  if (facts.aggregated !== undefined && !takesBlocks) {
    throw new UsageError(
      `Method ${name} decides itself which blocks are aggregated: leave the blocks out`,
    );
  }
  return definition;
}

/**
 * A method as users write it, for an ensemble.
 *
 * @throws {UsageError} if it is not known, does not fit the ensemble, or an option is wrong
 */
export function createMethod(text: string, context: MethodContext): EnsemblingMethod {
  const definition = fittingMethod(text, { ...context, hasSabw: context.sabw !== undefined });
  const parsed = { ...parseMethod(text), name: definition.name };
  const options = new MethodOptions(parsed, context.experts);
  const method = definition.build(options, context);
  options.refuseOthers();
  return method;
}

function afa(name: string, { sabw, aggregated, experts, blocks }: MethodContext): EnsemblingMethod {
  const { aggregator, hash, aggregatedBlocks } = sabw!;
  return featureMethod({
    name,
    aggregator,
    experts: experts.length,
    blocks,
    aggregated: aggregated ?? aggregatedBlocks,
    conditions: { sabwHash: hash },
  });
}

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

function buildMagicFusion(options: MethodOptions, context: MethodContext): EnsemblingMethod {
  const { experts, blocks, guidanceScale } = context;
  const own = options.perExpert();
  const fusion = {
    unconditional: options.choice("uncond", ["own", "general"], "own"),
    general: options.expert("general") ?? 0,
    sharpness: experts.map((_, i) => own.get(i) ?? 1),
  };
  const after = options.number("after", { min: 0 }), before = options.number("before", { min: 0 });
  const all = experts.map((_, i) => i), alone = [fusion.general];
  const segments = aggregationPlan(blocks, "noise");
  const isFused = (timestep: number) =>
    (after === undefined || timestep <= after) && (before === undefined || timestep > before);
  return {
    name: "magicfusion",
    conditions: { method: `magicfusion ${JSON.stringify({ ...fusion, after, before })}` },
    plan: ({ timestep }) => ({ experts: isFused(timestep) ? all : alone, segments }),
    combineNoise: (predictions) =>
      predictions.length === 1
        ? predictions[0]!
        : magicFusion(predictions as Required<NoisePrediction>[], guidanceScale, fusion),
  };
}

function buildSwitch(options: MethodOptions, { experts, blocks }: MethodContext): EnsemblingMethod {
  const unit = options.choice("by", SWITCH_UNITS, "fraction");
  const named = options.perExpert({ min: 0 });
  if (named.size === 0 && unit !== "fraction") {
    throw new UsageError(
      `Method switch by ${unit} must say where experts play, as ${experts[0]}=0`,
    );
  }
  const parts: SwitchPart[] = named.size === 0
    ? experts.map((_, expert) => ({ expert, from: expert / experts.length }))
    : [...named].map(([expert, from]) => ({ expert, from }));
  const isInOrder = parts.slice(1).every(({ from }, i) =>
    unit === "fraction" ? parts[i]!.from < from : parts[i]!.from > from
  );
  if (!isInOrder) {
    throw new UsageError(
      `Method switch by ${unit} must name experts in the order in which they play, with ` +
        `${unit === "fraction" ? "rising" : "falling"} values: current values are ` +
        parts.map(({ expert, from }) => `${experts[expert]}=${from}`).join(","),
    );
  }
  const segments = aggregationPlan(blocks, "noise");
  return {
    name: "switch",
    conditions: { method: `switch ${JSON.stringify({ unit, parts })}` },
    plan: (step) => ({ experts: [switchedExpert(parts, unit, step)], segments }),
  };
}
