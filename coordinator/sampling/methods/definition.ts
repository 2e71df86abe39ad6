/** What a row of the table of ensembling methods is, and what a method is built for. @module */

import type { BlockSpec } from "../../../shared/models/blocks.ts";
import type { Aggregator } from "../aggregation.ts";
import type { AggregatedBlocks } from "../aggregation_plan.ts";
import type { EnsemblingMethod } from "./method.ts";
import type { MethodOptions, MethodText } from "./method_text.ts";
import type { Masks } from "./regions/mask.ts";

/** Trained aggregators, for the methods that need them. */
export interface TrainedSabw {
  readonly aggregator: Aggregator;
  /** SHA-256 over their weights. */
  readonly hash: string;
  /** What they were trained to aggregate. */
  readonly aggregatedBlocks: AggregatedBlocks;
}

/** The size of what is drawn. */
export interface PictureSize {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  readonly latentWidth: number;
  readonly latentHeight: number;
}

/** The sampler of a run, as users say it. */
export interface SamplerChoice {
  /** By one of its names. */
  readonly name: string;
  /** @default the sampler's own */
  readonly eta?: number | undefined;
}

/** What a method is built for. */
export interface MethodContext {
  /** Names of the ensemble's experts, in its order. */
  readonly experts: readonly string[];
  readonly blocks: readonly BlockSpec[];
  readonly sabw?: TrainedSabw | undefined;
  readonly guidanceScale: number;
  readonly sampler: SamplerChoice;
  readonly picture: PictureSize;
  /** The files that options name; a job of the queue has none. */
  readonly masks?: Masks | undefined;
  /** Other blocks to aggregate than the method's own. */
  readonly aggregated?: AggregatedBlocks | undefined;
  /** Why the experts' features cannot be mixed, where they differ in architecture. */
  readonly featuresDiffer?: string | undefined;
}

export interface MethodDefinition {
  readonly name: string;
  /** Other names that it is known by, lower case. */
  readonly aliases: readonly string[];
  /** In a few words; options follow as users write them. */
  readonly summary: string;
  /** Whether users may say which blocks are aggregated. */
  readonly takesBlocks?: boolean;
  /** Whether it weighs experts with trained aggregators, pixel by pixel: then there are attention maps to keep. */
  readonly usesSabw?: boolean;
  /** Whether it looks at what guidance does: then predictions have both halves. */
  readonly needsGuidance?: boolean;
  /** Whether it follows densities along the reverse SDE: then the sampler must go that way (`isReverseSde`). */
  readonly needsReverseSde?: boolean;
  /** Paths of files that its options name: whoever starts a run reads them. @default none */
  files?(text: MethodText): readonly string[];
  /** Options that a method needs, as users write them, for experts of these names. @default none are needed */
  example?(experts: readonly string[]): string;
  /** @throws {UsageError} if an option is wrong, or names what the ensemble does not have */
  build(options: MethodOptions, context: MethodContext): EnsemblingMethod;
}
