/**
 * What distribution costs: a step of an ensemble on a cluster of one worker per expert, over the same step in one process
 * with the same cores and no wire. One process has two ways to use them, and the faster one counts: experts in turns,
 * each on all cores, or all experts at once, each on its share.
 *
 * @module
 */

import { alternate, ratioFigure, type RunTimes, timesOf } from "./alternate.ts";
import { openLocalExperts, openRandomSabw, openWorkerExperts } from "./bench_experts.ts";
import { type BenchModelName, type BenchModels, computeBytes } from "./bench_model.ts";
import type { BenchFigure } from "./bench_result.ts";
import { holdCores } from "./cores.ts";
import { EnsembleSide } from "./ensemble_side.ts";
import type { PairBenchOptions, PairBenchReport } from "./pair_bench.ts";
import { checkRoom } from "./room.ts";
import { checkSameResult } from "./same_result.ts";
import { median } from "./statistics.ts";
import { partFigures } from "./step_parts.ts";

export interface OverheadOptions extends PairBenchOptions {
  readonly model: BenchModelName;
  /** Threads that compute, all together; each worker gets its share. */
  readonly threads: number;
}

/** Rounds that decide between the two ways of one process; fewer than for the result, they differ by more. */
const CHOICE_ROUNDS = 3;

/** Steps of all sides, those that are not counted included. */
export function overheadRuns(pairs: number): number {
  return 2 * (Math.min(CHOICE_ROUNDS, pairs) + 1) + 2 * (pairs + 1);
}

/**
 * @param models one file per expert
 * @throws {TuttiError} RESOURCE_EXHAUSTED before anything is loaded if memory is too small
 */
export async function benchOverhead(
  models: BenchModels,
  options: OverheadOptions,
): Promise<PairBenchReport> {
  const { model, threads, pairs, name } = options;
  const experts = models.paths.length;
  // At most two set-ups at a time: both ways of one process, then the better one and the cluster.
  const processes = experts + 1;
  checkRoom("overhead", { models: 2 * experts, weightBytes: computeBytes(model), processes });
  await using held = await holdCores(threads);
  const share = Math.max(1, Math.floor(threads / experts));
  const choiceRounds = Math.min(CHOICE_ROUNDS, pairs);

  await using inTurns = new AsyncDisposableStack();
  await using atOnce = new AsyncDisposableStack();
  const local = async (stack: AsyncDisposableStack, side: string, each: number) => {
    const opened = stack.use(await openLocalExperts(models, each));
    return { side, experts: opened.experts };
  };
  const turns = await local(inTurns, "one-process-turns", threads);
  const lanes = await local(atOnce, "one-process-lanes", share);
  const { description } = turns.experts[0]!;
  await using sabw = await openRandomSabw({ ...description, numExperts: experts }, threads);
  const { aggregator } = sabw;
  const open = (from: Pick<EnsembleSide, "name">, those: typeof turns.experts, one = false) =>
    EnsembleSide.open({ ...options, ...from, experts: those, aggregator, inTurns: one });
  const turnsSide = inTurns.use(await open({ name: turns.side }, turns.experts, true));
  const lanesSide = atOnce.use(await open({ name: lanes.side }, lanes.experts));

  const chosen = await compare([lanesSide, turnsSide], choiceRounds, options, 0);
  const lanesWin = median(timesOf(chosen, lanes.side)) <= median(timesOf(chosen, turns.side));
  const best = lanesWin ? lanesSide : turnsSide;
  await (lanesWin ? inTurns : atOnce).disposeAsync();

  await using cluster = await openWorkerExperts(models, {
    threads: share,
    ...(options.signal && { signal: options.signal }),
  });
  await using clusterSide = await EnsembleSide.open({
    ...options,
    name: "cluster",
    experts: cluster.workers.map(({ expert }) => expert),
    aggregator,
  });
  const before = 2 * (choiceRounds + 1);
  const times = await compare([clusterSide, best], pairs, options, before);

  const conditions = { experts, threads, workerThreads: share, pinned: held.cores !== undefined };
  const figures: BenchFigure[] = [
    { ...ratioFigure(name, times, [clusterSide.name, best.name], "s"), conditions },
    {
      ...ratioFigure(`${name}.lanes-to-turns`, chosen, [lanes.side, turns.side], "s"),
      conditions,
    },
    ...[clusterSide, best].flatMap((side) => partFigures(`${name}.${side.name}`, side.stats)),
  ];
  return { figures, stats: new Map([clusterSide, best].map((side) => [side.name, side.stats])) };
}

/** Two arrangements in turns; they must predict the same noise. */
async function compare(
  sides: readonly [EnsembleSide, EnsembleSide],
  rounds: number,
  { pairs, signal, onRun }: PairBenchOptions,
  runsBefore: number,
): Promise<RunTimes> {
  const times = await alternate(sides, {
    rounds,
    ...(signal && { signal }),
    onWarm: () => sides.forEach((side) => side.forget()),
    onRun: (done, _, side) => onRun?.(runsBefore + done, overheadRuns(pairs), side),
  });
  checkSameResult(...sides);
  return times;
}
