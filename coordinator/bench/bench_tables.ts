/** Which tables of benchmarks a page may have, and how each is made from results. @module */

import type { BenchResult, Measured } from "./bench_result.ts";
import { readable, readableSpread } from "./format_figure.ts";

export interface BenchTable {
  readonly titles: readonly string[];
  /** Cells of all rows; none if the results say nothing of what the table shows. */
  rows(results: readonly BenchResult[]): readonly (readonly string[])[];
}

/** Of the table of samplers. */
const STEP_COUNTS = [10, 15, 20, 25, 50];

/** By the name in the markers: `<!-- bench:overhead -->`. */
export const BENCH_TABLES: Readonly<Record<string, BenchTable>> = {
  step: {
    titles: ["model", "pixels", "step", "half of the steps", "products", "whole step"],
    rows: (results) =>
      named(results, /^step$/).map((step) => {
        const of = siblings(results, step);
        const shares = ["products-to-best", "whole-step-to-best"].map(of).map(share);
        return [...modelCells(step), readable(step), readableSpread(step), ...shares];
      }),
  },
  load: {
    titles: ["model", "ready", "first step", "next step", "memory", "over its weights in f32"],
    rows: (results) =>
      named(results, /^ready$/).map((ready) => {
        const of = siblings(results, ready);
        const figures = ["first-step", "next-step", "memory", "memory-to-weights"].map(of);
        return [modelCells(ready)[0]!, readable(ready), ...figures.map(cell)];
      }),
  },
  block: {
    titles: ["block", "in this process", "on a worker", "ratio", "wire", "sent", "received"],
    rows: (results) =>
      named(results, /^block\.[^.]+\.[^.]+$/).map((block) => [
        shortName(block),
        ...[block.pair?.b, block.pair?.a, block].map(cell),
        ...["wire", "sent", "received"].map((part) => partOf(results, block, part)),
      ]),
  },
  overhead: {
    titles: ["shape", "cluster", "one process", "ratio", "half of the pairs"],
    rows: (results) => pairRows(named(results, /^overhead\.[^.]+\.n\d+$/)),
  },
  latency: {
    titles: ["shape", "cluster", "single model", "ratio", "half of the pairs"],
    rows: (results) => pairRows(named(results, /^latency\.[^.]+\.n\d+$/)),
  },
  scale: {
    titles: ["experts", "step", "sent", "received", "memory of a worker", "of the coordinator"],
    rows: (results) =>
      named(results, /^scale\.[^.]+\.n\d+$/).map((step) => [
        shortName(step),
        readable(step),
        ...["sent", "received", "worker-memory", "coordinator-memory"]
          .map((part) => partOf(results, step, part)),
      ]),
  },
  plane: {
    titles: ["plane", "64 B", "0.33 MB", "10.5 MB", "half of the runs"],
    rows: (results) =>
      named(results, /^plane\.[^.]+\.10MB$/).map((large) => {
        const [, plane = ""] = large.name.split(".");
        const small = ["64B", "0.33MB"].map((size) => cellOf(results, `plane.${plane}.${size}`));
        return [plane, ...small, cell(large), readableSpread(large)];
      }),
  },
  codec: {
    titles: ["map", "dtype", "bytes", "encode", "decode", "relative L2"],
    rows: (results) =>
      named(results, /^codec\.[^.]+\.bytes\.[^.]+$/).map(({ name }) => {
        const [, dtype = "", , shape = ""] = name.split(".");
        const parts = ["bytes", "encode", "decode", "error"];
        return [
          shape,
          dtype,
          ...parts.map((part) => cellOf(results, `codec.${dtype}.${part}.${shape}`)),
        ];
      }),
  },
  wire: {
    titles: ["dtype", "sent a step", "received a step", "worst block", "final latents", "PSNR"],
    rows: (results) =>
      named(results, /^wire\.[^.]+\.bytes$/).map(({ name }) => {
        const [, dtype = ""] = name.split(".");
        const of = (part: string) => cellOf(results, `wire.${dtype}.${part}`);
        const blocks = named(results, new RegExp(`^wire\\.${dtype}\\.block\\.`));
        const worst = blocks.toSorted((a, b) => b.value - a.value)[0];
        return [dtype, of("sent"), of("received"), cell(worst), of("latents"), of("psnr")];
      }),
  },
  samplers: {
    titles: ["sampler", "evaluations a step", ...STEP_COUNTS.map((steps) => `${steps} steps`)],
    rows: (results) => {
      const names = named(results, /^samplers\.[^.]+\.\d+$/).map(({ name }) => name.split(".")[1]!);
      return [...new Set(names)].map((sampler) => [
        sampler,
        cellOf(results, `samplers.${sampler}.evaluations`),
        ...STEP_COUNTS.map((steps) =>
          withHalf(results.find(({ name }) => name === `samplers.${sampler}.${steps}`))
        ),
      ]);
    },
  },
  steady: {
    titles: [
      ...[
        "plane",
        "a worker's memory",
        "per 1,000 steps",
        "coordinator's memory",
        "per 1,000 steps",
      ],
      ...["descriptors kept", "regions kept"],
    ],
    rows: (results) =>
      named(results, /^steady\.[^.]+\.worker-memory$/).map(({ name }) => {
        const [, plane = ""] = name.split(".");
        const parts = [
          ...["worker-memory", "worker-growth", "coordinator-memory", "coordinator-growth"],
          ...["descriptors", "regions"],
        ];
        return [plane, ...parts.map((part) => cellOf(results, `steady.${plane}.${part}`))];
      }),
  },
  network: {
    titles: [
      ...["link", "plane", "dtype", "waves"],
      ...["step", "compute", "wire", "step / bound"],
    ],
    rows: (results) =>
      named(results, /^network\.[^.]+\.[^.]+\.[^.]+\.\d+$/).map((step) => {
        const choice = shortName(step).split(".");
        // With one wave nothing overlaps.
        const bound = choice.at(-1) === "1" ? "to-sum" : "to-max";
        const parts = ["compute", "wire", bound].map((part) => partOf(results, step, part));
        return [...choice, readable(step), ...parts];
      }),
  },
};

function pairRows(results: readonly BenchResult[]): string[][] {
  return results.map((result) => [
    shortName(result),
    ...[result.pair?.a, result.pair?.b, result].map(cell),
    readableSpread(result),
  ]);
}

function named(results: readonly BenchResult[], pattern: RegExp): BenchResult[] {
  return results.filter(({ name }) => pattern.test(name));
}

/** Other figures of the same benchmark of the same model. */
function siblings(
  results: readonly BenchResult[],
  { bench, conditions }: BenchResult,
): (name: string) => BenchResult | undefined {
  const key = JSON.stringify(conditions);
  return (name) =>
    results.find((other) =>
      other.bench === bench && other.name === name && JSON.stringify(other.conditions) === key
    );
}

function partOf(results: readonly BenchResult[], { name }: BenchResult, part: string): string {
  return cellOf(results, `${name}.${part}`);
}

/** Empty if nobody measured it. */
function cellOf(results: readonly BenchResult[], name: string): string {
  return cell(results.find((result) => result.name === name));
}

/** `overhead.sd15-256.n2` -> `sd15-256.n2` */
function shortName({ name }: BenchResult): string {
  return name.slice(name.indexOf(".") + 1);
}

function modelCells({ conditions = {} }: BenchResult): [model: string, size: string] {
  return [String(conditions.model ?? ""), String(conditions.size ?? "")];
}

function cell(figure: Measured | undefined): string {
  return figure ? readable(figure) : "";
}

/** `41.2 (40.0 .. 43.4)`, without the unit. */
function withHalf(figure: Measured | undefined): string {
  const { value, spread } = figure ?? {};
  if (value === undefined) return "";
  const half = spread
    ? ` (${spread.lowerQuartile.toFixed(1)} .. ${spread.upperQuartile.toFixed(1)})`
    : "";
  return `${value.toFixed(1)}${half}`;
}

function share(figure: Measured | undefined): string {
  return figure ? `${Math.round(100 * figure.value)} %` : "";
}
