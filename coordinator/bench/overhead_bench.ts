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
import { EnsembleSide, type EnsembleSideOptions } from "./ensemble_side.ts";
import type { PairBenchOptions, PairBenchReport } from "./pair_bench.ts";
import type { Room } from "./room.ts";
import { checkSameResult } from "./same_result.ts";
import { median } from "./statistics.ts";
import { partFigures } from "./step_parts.ts";

export interface OverheadOptions extends PairBenchOptions {
  /** Threads that compute, all together; each worker gets its share. */
  readonly threads: number;
}

/** Rounds that decide between the two ways of one process; fewer than for the result, they differ by more. */
const CHOICE_ROUNDS = 3;

/** Steps of all sides, those that are not counted included. */
export function overheadRuns(pairs: number): number {
  return 2 * (Math.min(CHOICE_ROUNDS, pairs) + 1) + 2 * (pairs + 1);
}

/** At most two set-ups at a time: both ways of one process, then the better one and the cluster. */
export function overheadRoom(model: BenchModelName, experts: number): Room {
  const weightBytes = computeBytes(model);
  return { bench: "overhead", models: 2 * experts, weightBytes, processes: experts + 1 };
}

/** @param models one file per expert; there must be `overheadRoom()` */
export async function benchOverhead(
  models: BenchModels,
  options: OverheadOptions,
): Promise<PairBenchReport> {
  const { threads, pairs, name } = options;
  const experts = models.paths.length;
  await using held = await holdCores(threads);
  const share = Math.max(1, Math.floor(threads / experts));
  const choiceRounds = Math.min(CHOICE_ROUNDS, pairs);

  await using forTurns = new AsyncDisposableStack();
  await using forLanes = new AsyncDisposableStack();
  const ofTurns = forTurns.use(await openLocalExperts(models, threads));
  const ofLanes = forLanes.use(await openLocalExperts(models, share));
  const { description } = ofTurns.experts[0]!;
  await using sabw = await openRandomSabw({ ...description, numExperts: experts }, threads);
  const open = (side: Pick<EnsembleSideOptions, "name" | "experts" | "inTurns">) =>
    EnsembleSide.open({ ...options, ...side, aggregator: sabw.aggregator });
  const turns = forTurns.use(
    await open({ name: "one-process-turns", experts: ofTurns.experts, inTurns: true }),
  );
  const lanes = forLanes.use(await open({ name: "one-process-lanes", experts: ofLanes.experts }));

  const chosen = await compare([lanes, turns], choiceRounds, options, 0);
  const lanesWin = median(timesOf(chosen, lanes.name)) <= median(timesOf(chosen, turns.name));
  const best = lanesWin ? lanes : turns;
  await (lanesWin ? forTurns : forLanes).disposeAsync();

  await using cluster = await openWorkerExperts(models, {
    threads: share,
    ...(options.signal && { signal: options.signal }),
  });
  await using clustered = await open({
    name: "cluster",
    experts: cluster.workers.map(({ expert }) => expert),
  });
  const before = 2 * (choiceRounds + 1);
  const times = await compare([clustered, best], pairs, options, before);

  const conditions = { experts, threads, workerThreads: share, pinned: held.cores !== undefined };
  const figures: BenchFigure[] = [
    { ...ratioFigure(name, times, [clustered.name, best.name], "s"), conditions },
    {
      ...ratioFigure(`${name}.lanes-to-turns`, chosen, [lanes.name, turns.name], "s"),
      conditions,
    },
    ...[clustered, best].flatMap((side) => partFigures(`${name}.${side.name}`, side.stats)),
  ];
  return { figures, stats: new Map([clustered, best].map((side) => [side.name, side.stats])) };
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
