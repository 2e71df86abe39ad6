/** `--stats`: where the time of a run went, per block. @module */

import { formatTable } from "../../shared/terminal/table.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";

/**
 * Means over the steps; times in ms. Of several experts the slowest counts: all wait for it. Of several waves the sum,
 * although they overlap: what one of them waits is what another computes.
 */
export interface BlockStats {
  readonly block: string;
  readonly computeMs: number;
  readonly queueMs: number;
  /** Waiting for weights that were not in memory yet: of the first step, spread over all. */
  readonly loadMs: number;
  /** Round trip without compute, queue and load: serialisation, transport, and waiting for a core. */
  readonly wireMs: number;
  readonly aggregateMs: number;
  /** Bytes of feature maps on the way, to and from all experts. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

type Sums = { -readonly [K in keyof Omit<BlockStats, "block">]: number };

export class SampleStats {
  readonly #blocks = new Map<string, { sums: Sums; count: number }>();
  /** Those that each expert's feature maps travelled on. */
  readonly #planes: Set<string>[] = [];

  add(report: SegmentReport): void {
    const block = report.first === report.last ? report.first : `${report.first}..${report.last}`;
    const entry = this.#blocks.get(block) ?? { sums: noSums(), count: 0 };
    const slowest = report.experts.reduce((a, b) => b.roundTripMs > a.roundTripMs ? b : a);
    // One more step, not one more wave.
    if (report.firstRow === 0) entry.count++;
    entry.sums.computeMs += slowest.computeMs;
    entry.sums.queueMs += slowest.queueMs;
    entry.sums.loadMs += slowest.loadMs;
    entry.sums.wireMs += slowest.roundTripMs - slowest.computeMs - slowest.queueMs -
      slowest.loadMs;
    entry.sums.aggregateMs += report.aggregateMs;
    for (const [index, { plane, sentBytes, receivedBytes }] of report.experts.entries()) {
      (this.#planes[index] ??= new Set()).add(plane);
      entry.sums.sentBytes += sentBytes;
      entry.sums.receivedBytes += receivedBytes;
    }
    this.#blocks.set(block, entry);
  }

  /** One entry per expert: `shm`, or `unix, grpc` if the first failed. */
  planes(): string[] {
    return this.#planes.map((planes) => [...planes].join(", "));
  }

  /** In the order in which the blocks ran. */
  blocks(): BlockStats[] {
    return [...this.#blocks].map(([block, { sums, count }]) => {
      const means = Object.entries(sums).map(([key, sum]) => [key, sum / count]);
      return { block, ...Object.fromEntries(means) as Sums };
    });
  }

  /** A table per step, with a row for the sum. */
  format(): string {
    const blocks = this.blocks();
    const total = blocks.reduce((sum, stats) => {
      for (const key of Object.keys(sum) as (keyof Sums)[]) sum[key] += stats[key];
      return sum;
    }, noSums());
    const titles = [
      "block",
      "compute ms",
      "queue ms",
      "load ms",
      "wire ms",
      "aggregate ms",
      "sent",
      "received",
    ];
    const rows = [...blocks, { block: "step", ...total }].map((stats) => [
      stats.block,
      ...[stats.computeMs, stats.queueMs, stats.loadMs, stats.wireMs, stats.aggregateMs].map((ms) =>
        ms.toFixed(2)
      ),
      formatBytes(stats.sentBytes),
      formatBytes(stats.receivedBytes),
    ]);
    const columns = titles.map((
      title,
      i,
    ) => ({ title, align: i === 0 ? "left" : "right" } as const));
    return formatTable(columns, rows);
  }
}

function noSums(): Sums {
  return {
    ...{ computeMs: 0, queueMs: 0, loadMs: 0, wireMs: 0, aggregateMs: 0 },
    ...{ sentBytes: 0, receivedBytes: 0 },
  };
}
