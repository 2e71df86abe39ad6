/** Where the time and the bytes of one step of an ensemble went, as figures. @module */

import type { BlockStats, SampleStats } from "../cli/sample_stats.ts";
import type { BenchFigure } from "./bench_result.ts";

/** Sums over the blocks, means over the steps; times of the slowest expert, bytes of all. */
export type StepParts = Omit<BlockStats, "block">;

export function stepParts(stats: SampleStats): StepParts {
  const sum = (key: keyof StepParts) => stats.blocks().reduce((total, row) => total + row[key], 0);
  return {
    computeMs: sum("computeMs"),
    queueMs: sum("queueMs"),
    loadMs: sum("loadMs"),
    wireMs: sum("wireMs"),
    aggregateMs: sum("aggregateMs"),
    sentBytes: sum("sentBytes"),
    receivedBytes: sum("receivedBytes"),
  };
}

/** `PREFIX.compute` and its siblings. */
export function partFigures(prefix: string, stats: SampleStats): BenchFigure[] {
  const parts = stepParts(stats);
  const ms = (name: string, value: number): BenchFigure => ({
    name: `${prefix}.${name}`,
    value,
    unit: "ms",
  });
  const bytes = (name: string, value: number): BenchFigure => ({
    name: `${prefix}.${name}`,
    value,
    unit: "bytes",
  });
  return [
    ms("compute", parts.computeMs),
    ms("queue", parts.queueMs),
    ms("load", parts.loadMs),
    ms("wire", parts.wireMs),
    ms("aggregate", parts.aggregateMs),
    bytes("sent", parts.sentBytes),
    bytes("received", parts.receivedBytes),
  ];
}
