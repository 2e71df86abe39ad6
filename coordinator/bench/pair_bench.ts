/** What benchmarks that compare two arrangements of an ensemble have in common. @module */

import type { SampleStats } from "../cli/sample_stats.ts";
import type { BenchFigure } from "./bench_result.ts";
import type { CallSize } from "./random_inputs.ts";

export interface PairBenchOptions extends CallSize {
  /** Of the figure: `overhead.sd15-256.n2`. */
  readonly name: string;
  /** Rounds that are measured. */
  readonly pairs: number;
  readonly signal?: AbortSignal;
  /** Told before each run: how many of all are done, and which side is next. */
  readonly onRun?: (done: number, total: number, side: string) => void;
}

export interface PairBenchReport {
  /** First the ratio that the benchmark is about. */
  readonly figures: readonly BenchFigure[];
  /** Where each side's time went, by block. */
  readonly stats: ReadonlyMap<string, SampleStats>;
}
