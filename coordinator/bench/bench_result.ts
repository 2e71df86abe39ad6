/**
 * The one form of what a benchmark has found: a number with its unit and spread, both sides where it compares two, and
 * where it was measured. `--json` prints one such object a line, and the tables of `docs/benchmarks.md` are written from those lines.
 *
 * @module
 */

import type { BenchMachine } from "./bench_machine.ts";
import { median, type Spread, spread } from "./statistics.ts";

export const UNITS = [
  ...["s", "ms", "bytes", "ratio", "GFLOP", "GFLOP/s", "MB/s", "dB", "count"] as const,
] as const;

export type Unit = typeof UNITS[number];

/** A number with a name. */
export interface Measured {
  readonly name: string;
  /** The median of several runs; of several pictures the mean. */
  readonly value: number;
  readonly unit: Unit;
  /** Without it the number is counted, or measured once. */
  readonly spread?: Spread;
}

/** What a benchmark finds. */
export interface BenchFigure extends Measured {
  /**
   * Both sides of a comparison, with `value` and `spread` of the ratio a / b, taken run by run: its median is in general
   * not the ratio of the medians.
   */
  readonly pair?: { readonly a: Measured; readonly b: Measured };
  /** What a reader must know to judge the number: threads, pinning, experts, size. */
  readonly conditions?: Conditions;
}

export type Conditions = Readonly<Record<string, string | number | boolean>>;

/** A figure and where it comes from. */
export interface BenchResult extends BenchFigure {
  /** The benchmark, as in `tutti bench NAME`. */
  readonly bench: string;
  readonly machine: BenchMachine;
  /** Hash of the sources' commit, with `-dirty` where files have changed since; `unknown` outside of a checkout. */
  readonly commit: string;
}

/** The median of several runs, with their spread. */
export function measured(name: string, values: readonly number[], unit: Unit): Measured {
  return { name, value: median(values), unit, spread: spread(values) };
}
