/**
 * Whether N models cost one model's latency: a step of an ensemble whose workers have one core each, with the coordinator
 * on those same cores, over a step of a single model on one core. What is above 1 is SABW, the wire, and waiting for the
 * slower worker.
 *
 * @module
 */

import { UniformAggregator } from "../sampling/aggregation.ts";
import { alternate, ratioFigure } from "./alternate.ts";
import { openLocalExperts, openRandomSabw, openWorkerExperts } from "./bench_experts.ts";
import { type BenchModelName, type BenchModels, computeBytes } from "./bench_model.ts";
import { holdCores, pin } from "./cores.ts";
import { EnsembleSide } from "./ensemble_side.ts";
import type { PairBenchOptions, PairBenchReport } from "./pair_bench.ts";
import type { Room } from "./room.ts";
import { partFigures } from "./step_parts.ts";

/** All workers' models, and the single one. */
export function latencyRoom(model: BenchModelName, experts: number): Room {
  const weightBytes = computeBytes(model);
  return { bench: "latency", models: experts + 1, weightBytes, processes: experts + 1 };
}

/** @param models one file per expert, the first is the single model, too; there must be `latencyRoom()` */
export async function benchLatency(
  models: BenchModels,
  options: PairBenchOptions,
): Promise<PairBenchReport> {
  const { name, pairs, signal, onRun } = options;
  const experts = models.paths.length;
  await using held = await holdCores(experts);
  await using single = await openLocalExperts({ ...models, paths: models.paths.slice(0, 1) }, 1);
  await using cluster = await openWorkerExperts(models, { threads: 1, ...(signal && { signal }) });
  const pins = cluster.workers.map(({ pid }, i) => held.cores && pin(pid, [held.cores[i]!]));
  const arePinned = (await Promise.all(pins)).every((done) => done === true);
  const { description } = single.experts[0]!;
  await using sabw = await openRandomSabw({ ...description, numExperts: experts }, experts);
  await using clusterSide = await EnsembleSide.open({
    ...options,
    name: "cluster",
    experts: cluster.workers.map(({ expert }) => expert),
    aggregator: sabw.aggregator,
  });
  await using singleSide = await EnsembleSide.open({
    ...options,
    name: "single-model",
    experts: single.experts,
    aggregator: new UniformAggregator(),
    aggregated: "noise",
  });
  const sides = [clusterSide, singleSide];
  const times = await alternate(sides, {
    rounds: pairs,
    ...(signal && { signal }),
    ...(onRun && { onRun }),
    onWarm: () => sides.forEach((side) => side.forget()),
  });
  const conditions = { experts, workerThreads: 1, coordinatorThreads: experts, pinned: arePinned };
  return {
    figures: [
      { ...ratioFigure(name, times, [clusterSide.name, singleSide.name], "s"), conditions },
      ...sides.flatMap((side) => partFigures(`${name}.${side.name}`, side.stats)),
    ],
    stats: new Map(sides.map((side) => [side.name, side.stats])),
  };
}
