/**
 * Trained SABW against what needs no training, at the same held-out draws: averaging block by block, averaging the noise, and each expert
 * alone (which is SABW with all weight on that expert: VAE, scheduler and text path are the same).
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { type Aggregator, UniformAggregator } from "../sampling/aggregation.ts";
import { aggregationPlan, type Segment } from "../sampling/aggregation_plan.ts";
import { AttentionUsage } from "./attention_usage.ts";
import type { PassOptions } from "./batch_pass.ts";
import { average, evaluate, type PairedDifference, pairedDifference } from "./held_out.ts";
import type { NoisyRow, NoisyRows } from "./noisy_rows.ts";

export interface Comparison {
  readonly name: string;
  readonly loss: number;
  /** SABW's loss minus this one's: below 0, SABW is better. */
  readonly difference?: PairedDifference;
}

export interface CompareRequest {
  readonly experts: readonly Expert[];
  /** In the experts' order. */
  readonly names: readonly string[];
  readonly sabw: Aggregator;
  /** What SABW aggregates. */
  readonly plan: readonly Segment[];
  readonly rows: NoisyRows;
  readonly heldOut: readonly NoisyRow[];
  readonly microBatch: number;
  readonly signal?: AbortSignal;
}

export interface BaselineComparison {
  /** SABW first. */
  readonly comparisons: readonly Comparison[];
  /** SABW's, over the held-out draws. */
  readonly usage: AttentionUsage;
}

export async function compareBaselines(request: CompareRequest): Promise<BaselineComparison> {
  const { experts, names, sabw, plan, heldOut, microBatch, signal } = request;
  const blocks = experts[0]!.description.blocks;
  const [everywhere, atTheEnd] = [aggregationPlan(blocks), aggregationPlan(blocks, "noise")];
  const losses = (
    aggregator: Aggregator,
    plan: readonly Segment[],
    chosen = experts,
    rows = request.rows,
    onSegment?: PassOptions["onSegment"],
  ) => {
    const options = { ...(signal && { signal }), ...(onSegment && { onSegment }) };
    return evaluate({ experts: chosen, aggregator, plan }, rows, heldOut, microBatch, options);
  };
  const uniform = new UniformAggregator();
  const usage = new AttentionUsage();
  const own = await losses(sabw, plan, experts, request.rows, (report) => usage.add(report));
  const others: (readonly [string, number[]])[] = [
    ["averaging block by block", await losses(uniform, everywhere)],
    ["averaging the noise", await losses(uniform, atTheEnd)],
  ];
  for (const [i, expert] of experts.entries()) {
    const alone = await losses(uniform, atTheEnd, [expert], request.rows.ofExpert(i));
    others.push([`${names[i]!} alone`, alone]);
  }
  const comparisons = others.map(([name, losses]) => ({
    name,
    loss: average(losses),
    difference: pairedDifference(own, losses),
  }));
  return { comparisons: [{ name: "SABW", loss: average(own) }, ...comparisons], usage };
}
