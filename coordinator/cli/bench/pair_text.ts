/** A comparison of two arrangements of an ensemble, for people. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import { formatBytes, formatDuration } from "../../../shared/terminal/units.ts";
import type { PairBenchReport } from "../../bench/pair_bench.ts";
import { stepParts } from "../../bench/step_parts.ts";
import { figuresTable, right } from "./figures_table.ts";

/** The ratios, below them where a step of each side went, and on demand the same for every block. */
export function pairText({ figures, stats }: PairBenchReport, isByBlock: boolean): string {
  const titles = ["compute", "queue", "wire", "aggregate", "sent", "received"];
  const sides = [...stats].map(([side, each]) => {
    const { computeMs, queueMs, wireMs, aggregateMs, sentBytes, receivedBytes } = stepParts(each);
    return [
      side,
      ...[computeMs, queueMs, wireMs, aggregateMs].map(formatDuration),
      ...[sentBytes, receivedBytes].map(formatBytes),
    ];
  });
  return [
    figuresTable(figures.filter(({ pair }) => pair !== undefined)),
    formatTable(["per step, of the slowest expert", ...titles.map(right)], sides),
    ...(isByBlock ? [...stats].map(([side, each]) => `${side}\n${each.format()}`) : []),
  ].join("\n\n");
}
