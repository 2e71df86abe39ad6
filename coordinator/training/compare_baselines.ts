/**
 * Trained SABW against what needs no training, at the same held-out draws: averaging block by block, averaging the noise, each expert
 * alone (which is SABW with all weight on that expert: VAE, scheduler and text path are the same), and the best expert of each
 * block.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { type Aggregator, UniformAggregator } from "../sampling/aggregation.ts";
import { aggregationPlan, type Segment } from "../sampling/aggregation_plan.ts";
import { OneHotAggregator } from "../sampling/one_hot_aggregator.ts";
import { AttentionUsage } from "./attention_usage.ts";
import type { PassOptions } from "./batch_pass.ts";
import { average, evaluate, type PairedDifference, pairedDifference } from "./held_out.ts";
import type { NoisyRow, NoisyRows } from "./noisy_rows.ts";
import { type Choices, greedyOneHot } from "./one_hot.ts";

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
  /** Whether the best expert of each block is looked for, which takes many evaluations. @default false */
  readonly greedy?: boolean;
  /** Told how many evaluations are done, of `evaluationCount()`. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

export interface BaselineComparison {
  /** SABW first. */
  readonly comparisons: readonly Comparison[];
  /** SABW's, over the held-out draws. */
  readonly usage: AttentionUsage;
  /** The best expert of each block, where it was looked for. */
  readonly choices?: Choices;
}

/** How often a comparison goes over all draws. */
export function evaluationCount(
  { experts, greedy = false }: Pick<CompareRequest, "experts" | "greedy">,
): number {
  const { blocks } = experts[0]!.description;
  return 3 + experts.length + (greedy ? 1 + blocks.length * (experts.length - 1) : 0);
}

export async function compareBaselines(request: CompareRequest): Promise<BaselineComparison> {
  const { experts, names, sabw, plan, heldOut, microBatch, signal } = request;
  const blocks = experts[0]!.description.blocks;
  const [everywhere, atTheEnd] = [aggregationPlan(blocks), aggregationPlan(blocks, "noise")];
  let done = 0;
  const losses = async (
    aggregator: Aggregator,
    plan: readonly Segment[],
    chosen = experts,
    rows = request.rows,
    onSegment?: PassOptions["onSegment"],
  ) => {
    const options = { ...(signal && { signal }), ...(onSegment && { onSegment }) };
    const ensemble = { experts: chosen, aggregator, plan };
    const result = await evaluate(ensemble, rows, heldOut, microBatch, options);
    request.onProgress?.(++done);
    return result;
  };
  const uniform = new UniformAggregator();
  const usage = new AttentionUsage();
  const own = await losses(sabw, plan, experts, request.rows, (report) => usage.add(report));
  const others: (readonly [string, readonly number[]])[] = [
    ["averaging block by block", await losses(uniform, everywhere)],
    ["averaging the noise", await losses(uniform, atTheEnd)],
  ];
  const alone: (readonly number[])[] = [];
  for (const [i, expert] of experts.entries()) {
    alone.push(await losses(uniform, atTheEnd, [expert], request.rows.ofExpert(i)));
    others.push([`${names[i]!} alone`, alone[i]!]);
  }
  const best = request.greedy
    ? await greedyOneHot(
      blocks.map(({ id }) => id),
      experts.length,
      indexOfLeast(alone.map(average)),
      (choices) => losses(new OneHotAggregator((block) => choices.get(block)!), everywhere),
    )
    : undefined;
  if (best) others.push(["best expert of each block", best.losses]);
  const comparisons = others.map(([name, losses]) => ({
    name,
    loss: average(losses),
    difference: pairedDifference(own, losses),
  }));
  return {
    comparisons: [{ name: "SABW", loss: average(own) }, ...comparisons],
    usage,
    ...(best && { choices: best.choices }),
  };
}

function indexOfLeast(values: readonly number[]): number {
  return values.indexOf(Math.min(...values));
}
