/** Results of `tutti bench step`. @module */

import type { FlopKind } from "../../../shared/onnx/flops.ts";
import { type Cell, formatTable } from "../../../shared/terminal/table.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { spread } from "../../bench/statistics.ts";
import type { OpRow, StepReport } from "../../bench/step_report.ts";
import { labelledFigures, right } from "./figures_table.ts";

/** One row an operator, and below it the figures of the whole step. */
export function stepText(report: StepReport): string {
  const { kinds, ops, stepMs, outsideMs, bestRate } = report;
  const rate = (flops: number, ms: number) => (flops / ms / 1e6).toFixed(1);
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  const columns = [
    "",
    ...["calls", "ms", "of the step", "GFLOP", "GFLOP/s", "of the best"].map(right),
  ];
  const row = (name: string, calls: Cell, ms: number, flops?: number): Cell[] => [
    name,
    calls,
    ms.toFixed(1),
    share(ms / stepMs),
    ...(flops === undefined || ms === 0
      ? []
      : [(flops / 1e9).toFixed(1), rate(flops, ms), share(flops / (ms / 1000) / bestRate)]),
  ];
  const others = ops.filter(({ kind }) => kind === undefined);
  const operations = formatTable(columns, [
    ...kinds.map(({ kind, ms, flops }) =>
      row(`${kind} (${operators(ops, kind)})`, callsOf(ops, kind), ms, flops)
    ),
    ...others.map(({ op, calls, ms }) => row(op, calls, ms)),
    row("outside of operators", "", outsideMs),
    row("step", "", stepMs, report.flops),
  ]);
  const whole = stepFigures(report).filter(({ name }) => !name.startsWith("op."));
  return `${operations}\n\n${labelledFigures(whole)}`;
}

export function stepFigures(report: StepReport): BenchFigure[] {
  const { elapsedMs, bestRate, productRate, stepRate } = report;
  const seconds = (name: string, ms: number): BenchFigure => ({
    name,
    value: ms / 1000,
    unit: "s",
  });
  const gigaflops = (name: string, rate: number): BenchFigure => ({
    name,
    value: rate / 1e9,
    unit: "GFLOP/s",
  });
  return [
    { ...seconds("step", report.stepMs), spread: spread(elapsedMs.map((ms) => ms / 1000)) },
    seconds("step-fastest", Math.min(...elapsedMs)),
    seconds("step-slowest", Math.max(...elapsedMs)),
    seconds("first-step", report.firstMs),
    { name: "operations", value: report.flops / 1e9, unit: "GFLOP" },
    gigaflops("best-matrix-product", bestRate),
    gigaflops("products", productRate),
    gigaflops("whole-step", stepRate),
    { name: "products-to-best", value: productRate / bestRate, unit: "ratio" },
    { name: "whole-step-to-best", value: stepRate / bestRate, unit: "ratio" },
    ...report.ops.map(({ op, ms }) => seconds(`op.${op}`, ms)),
    seconds("op.outside", report.outsideMs),
  ];
}

function operators(ops: readonly OpRow[], kind: FlopKind): string {
  return ops.filter((row) => row.kind === kind).map(({ op }) => op).join(", ") || "none";
}

function callsOf(ops: readonly OpRow[], kind: FlopKind): number {
  return ops.filter((row) => row.kind === kind).reduce((sum, { calls }) => sum + calls, 0);
}
