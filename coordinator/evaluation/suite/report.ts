/** What a suite's scores say: means, paired differences from the first way of drawing, and whether judges agree. @module */

import { pairedDifference } from "../metrics/paired_difference.ts";
import { rankCorrelation } from "../metrics/rank_correlation.ts";
import type { PictureScores } from "./score_file.ts";

/** One way of drawing. */
export interface SuiteRow {
  readonly title: string;
  readonly method: string;
  readonly steps: number;
}

export interface JudgeSummary {
  readonly mean: number;
  /** From the first row's on the same prompts and seeds; absent in the first row. */
  readonly difference?: {
    readonly mean: number;
    readonly low: number;
    readonly high: number;
    readonly wins: number;
    readonly ties: number;
    readonly losses: number;
  };
}

export interface RowReport extends SuiteRow {
  readonly pictures: number;
  /** Of sampling one picture, median; absent where none was drawn in a run that was timed. */
  readonly msPerPicture?: number;
  readonly judges: Readonly<Record<string, JudgeSummary>>;
  /** Distances to the reference pictures, by name. */
  readonly distances: Readonly<Record<string, number>>;
}

export interface SuiteReport {
  readonly ensemble: string;
  readonly prompts: readonly string[];
  readonly seeds: readonly string[];
  readonly rows: readonly RowReport[];
  /** Spearman's, over all pictures, of each two judges. */
  readonly agreement: readonly {
    readonly judges: readonly [string, string];
    readonly rho: number;
  }[];
}

export interface ReportInput extends Pick<SuiteReport, "ensemble" | "prompts" | "seeds"> {
  readonly rows: readonly SuiteRow[];
  readonly judges: readonly string[];
  readonly scores: readonly PictureScores[];
  /** By row. */
  readonly distances: readonly Readonly<Record<string, number>>[];
}

export function suiteReport(
  { ensemble, prompts, seeds, rows, judges, scores, distances }: ReportInput,
): SuiteReport {
  // In one order of prompts and seeds, so that the n-th of each row are a pair.
  const byRow = rows.map((_, row) =>
    scores.filter((one) => one.row === row).sort((a, b) =>
      a.prompt - b.prompt || seeds.indexOf(a.seed) - seeds.indexOf(b.seed)
    )
  );
  const of = (row: number, judge: string) => byRow[row]!.map((one) => one.scores[judge]!);
  return {
    ...{ ensemble, prompts, seeds },
    rows: rows.map((row, index) => ({
      ...row,
      pictures: byRow[index]!.length,
      ...medianTime(byRow[index]!),
      judges: Object.fromEntries(
        judges.map((judge) => [judge, summary(of(index, judge), index > 0 && of(0, judge))]),
      ),
      distances: distances[index] ?? {},
    })),
    agreement: judges.flatMap((a, i) =>
      judges.slice(i + 1).map((b) => {
        const all = (judge: string) => rows.flatMap((_, row) => of(row, judge));
        return { judges: [a, b] as const, rho: rankCorrelation(all(a), all(b)) };
      })
    ),
  };
}

function summary(values: readonly number[], first: readonly number[] | false): JudgeSummary {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (!first || values.length < 2) return { mean };
  const { mean: by, low, high, winsOfB, ties, lossesOfB } = pairedDifference(first, values);
  return {
    mean,
    difference: { mean: by, low, high, wins: winsOfB, ties, losses: lossesOfB },
  };
}

function medianTime(scores: readonly PictureScores[]): { readonly msPerPicture?: number } {
  const times = scores.flatMap(({ msPerPicture }) => msPerPicture ?? []).sort((a, b) => a - b);
  return times.length === 0 ? {} : { msPerPicture: times[Math.floor(times.length / 2)]! };
}
