/** Figures of a benchmark as a table for people. @module */

import { type Column, formatTable } from "../../../shared/terminal/table.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { readable, readableSpread } from "../../bench/format_figure.ts";

/** One row a figure: median, half of all runs, and both sides where there are two. */
export function figuresTable(figures: readonly BenchFigure[]): string {
  const columns = ["", right("median"), right("half of the runs"), right("runs"), "of"];
  return formatTable(
    columns,
    figures.map((figure) => [
      figure.name,
      readable(figure),
      readableSpread(figure),
      figure.spread ? String(figure.spread.runs) : "",
      figure.pair ? readablePair(figure.pair) : "",
    ]),
  );
}

/** The same for figures of one thing: `memory-peak` is `memory peak`, and its number. */
export function labelledFigures(figures: readonly BenchFigure[]): string {
  return formatTable(
    ["", right("")],
    figures.map((figure) => [figure.name.replaceAll("-", " "), readable(figure)]),
  );
}

/** `cluster 8.4 s / one-process-lanes 8.1 s` */
function readablePair({ a, b }: NonNullable<BenchFigure["pair"]>): string {
  return `${a.name} ${readable(a)} / ${b.name} ${readable(b)}`;
}

export const right = (title: string): Column => ({ title, align: "right" });
