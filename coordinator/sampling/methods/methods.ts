/**
 * The ensembling methods that users can name, one row each: the only place that knows all of them.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import type { AggregatedBlocks } from "../aggregation_plan.ts";
import { usesGuidance } from "../guidance.ts";
import { AFA, LAST_BLOCK } from "./afa.ts";
import { AUTOGUIDANCE } from "./autoguidance.ts";
import { AVERAGE, NOISE_AVERAGE } from "./average.ts";
import { isReverseSde, reverseSdeNames } from "../samplers/reverse_sde.ts";
import type { MethodContext, MethodDefinition, SamplerChoice } from "./definition.ts";
import { MAGIC_FUSION } from "./magic_fusion.ts";
import type { EnsemblingMethod } from "./method.ts";
import { MethodOptions, parseMethod } from "./method_text.ts";
import { REGIONS } from "./regions/regions.ts";
import { INTERLEAVE, ONE_HOT, ONLY } from "./single_expert.ts";
import { SUPERDIFF_OR } from "./superdiff.ts";
import { SWITCH } from "./switch.ts";
import { WEIGHTS } from "./weights.ts";

export const METHODS: readonly MethodDefinition[] = [
  AFA,
  LAST_BLOCK,
  AVERAGE,
  NOISE_AVERAGE,
  WEIGHTS,
  MAGIC_FUSION,
  SWITCH,
  INTERLEAVE,
  AUTOGUIDANCE,
  SUPERDIFF_OR,
  REGIONS,
  ONE_HOT,
  ONLY,
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

/** Paths of the files that a method as users write it names: they must be read before it is built. */
export function methodFiles(text: string): readonly string[] {
  const parsed = parseMethod(text);
  return findMethod(parsed.name).files?.(parsed) ?? [];
}

/** What a method asks of an ensemble and a job. */
export interface MethodFacts {
  readonly hasSabw: boolean;
  readonly guidanceScale: number;
  readonly sampler: SamplerChoice;
  readonly aggregated?: AggregatedBlocks | undefined;
  /** Why the experts' features cannot be mixed, where they differ in architecture. */
  readonly featuresDiffer?: string | undefined;
}

/**
 * Finds a method by what users write, and refuses one that does not fit: all that can be told before experts are open.
 *
 * @throws {UsageError} if it is not known, or needs what is not there
 */
export function fittingMethod(text: string, facts: MethodFacts): MethodDefinition {
  const definition = findMethod(parseMethod(text).name);
  const { name, usesSabw, needsGuidance, takesBlocks } = definition;
  const mixesFeatures = usesSabw || (takesBlocks && facts.aggregated !== "noise");
  if (mixesFeatures && facts.featuresDiffer !== undefined) {
    throw new UsageError(
      `Method ${name} mixes the experts' features, which must be alike: ${facts.featuresDiffer}. ` +
        "Take a method on noise, such as noise-average",
    );
  }
  if (usesSabw && !facts.hasSabw) {
    throw new UsageError(
      `Method ${name} needs trained aggregators (SABW): name their folder, or take average`,
    );
  }
  if (needsGuidance && !usesGuidance(facts.guidanceScale)) {
    throw new UsageError(
      `Method ${name} compares what guidance does to each expert's noise: it needs a guidance scale other than 1`,
    );
  }
  if (definition.needsReverseSde && !isReverseSde(facts.sampler)) {
    const { name: sampler, eta } = facts.sampler;
    throw new UsageError(
      `Method ${name} follows the experts' densities along the reverse SDE, with all of its noise (eta 1) and one evaluation ` +
        `a step: samplers for it are ${
          reverseSdeNames().join(", ")
        }: current sampler is ${sampler}` +
        (eta === undefined ? "" : ` with eta ${eta}`),
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
