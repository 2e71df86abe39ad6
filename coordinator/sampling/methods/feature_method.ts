/** Methods that aggregate the features of all experts after the same blocks in every step. @module */

import type { BlockSpec } from "../../../shared/models/blocks.ts";
import type { Aggregator } from "../aggregation.ts";
import { type AggregatedBlocks, aggregationPlan } from "../aggregation_plan.ts";
import type { EnsemblingMethod } from "./method.ts";

export interface FeatureMethodOptions {
  readonly name: string;
  readonly aggregator: Aggregator;
  /** How many experts the ensemble has. */
  readonly experts: number;
  readonly blocks: readonly BlockSpec[];
  /** @default "all" */
  readonly aggregated?: AggregatedBlocks | undefined;
  /** Besides the aggregated blocks. */
  readonly conditions?: EnsemblingMethod["conditions"];
}

/** @throws {UsageError} if a block is not in the table */
export function featureMethod(
  { name, aggregator, experts, blocks, aggregated = "all", conditions }: FeatureMethodOptions,
): EnsemblingMethod {
  const plan = {
    experts: Array.from({ length: experts }, (_, i) => i),
    segments: aggregationPlan(blocks, aggregated),
  };
  return {
    name,
    aggregator,
    aggregatedBlocks: aggregated,
    conditions: { ...conditions, aggregatedBlocks: String(aggregated) },
    plan: () => plan,
  };
}
