/**
 * Paired measuring: named sides run in turns (A B A B ...), so that whatever else the machine does meets all of them
 * alike. Ratios are taken within a round and only then is their median: a slow minute then cancels out of it.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { type BenchFigure, measured, type Unit } from "./bench_result.ts";

export interface Side {
  /** `cluster`, `one-process`: a word for tables and programs. */
  readonly name: string;
  /** Does the work once. What it leaves behind is set up and cleared by the caller. */
  run(): Promise<unknown>;
}

export interface AlternateOptions {
  /** Rounds that are measured; each runs every side once. */
  readonly rounds: number;
  /** Rounds before those: they load weights and fill caches, and are not counted. @default 1 */
  readonly warmups?: number;
  readonly signal?: AbortSignal;
  /** Told before each run: how many of all runs, warm-ups included, are done. */
  readonly onRun?: (done: number, total: number, side: string) => void;
  /** Told before the first round that counts. */
  readonly onWarm?: () => void;
  /** Milliseconds of a clock that never runs backwards. @default performance.now */
  readonly now?: () => number;
}

/** Milliseconds of every measured run, by side; index i of all sides is round i. */
export type RunTimes = ReadonlyMap<string, readonly number[]>;

/** @throws {TuttiError} CANCELLED between two runs, or what a side threw */
export async function alternate(
  sides: readonly Side[],
  { rounds, warmups = 1, signal, onRun, onWarm, now = () => performance.now() }: AlternateOptions,
): Promise<RunTimes> {
  const times = new Map<string, number[]>(sides.map(({ name }) => [name, []]));
  if (times.size !== sides.length) {
    throw new TuttiError("INVALID_ARGUMENT", "Sides of a measurement must have different names");
  }
  const total = (warmups + rounds) * sides.length;
  let done = 0;
  for (let round = -warmups; round < rounds; round++) {
    if (round === 0) onWarm?.();
    for (const side of sides) {
      throwIfAborted(signal);
      onRun?.(done++, total, side.name);
      const start = now();
      await side.run();
      const elapsedMs = now() - start;
      if (round >= 0) times.get(side.name)!.push(elapsedMs);
    }
  }
  return times;
}

/** Of one side. */
export function timesOf(times: RunTimes, side: string): readonly number[] {
  const runs = times.get(side);
  if (runs) return runs;
  throw new TuttiError("INTERNAL", `Side must be one of ${[...times.keys()]}: it is "${side}"`);
}

/**
 * `a` over `b` as a figure: the median of the ratios of all rounds, with the times of both sides.
 *
 * @param unit of the sides' values; the ratio has none
 */
export function ratioFigure(
  name: string,
  times: RunTimes,
  [a, b]: readonly [a: string, b: string],
  unit: Extract<Unit, "ms" | "s">,
): BenchFigure {
  const [ofA, ofB] = [timesOf(times, a), timesOf(times, b)];
  const scaled = (ms: readonly number[]) => ms.map((value) => unit === "s" ? value / 1000 : value);
  return {
    ...measured(name, ofA.map((ms, round) => ms / ofB[round]!), "ratio"),
    pair: { a: measured(a, scaled(ofA), unit), b: measured(b, scaled(ofB), unit) },
  };
}
