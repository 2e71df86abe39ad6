/** Results of `tutti bench` for people and programs. @module */

import type { FlopKind } from "../../shared/onnx/flops.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { type Cell, type Column, formatTable } from "../../shared/terminal/table.ts";
import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import type { LoadReport } from "../bench/load_bench.ts";
import { heldBytes } from "../bench/resident_memory.ts";
import type { OpRow, StepReport } from "../bench/step_report.ts";

/** One measured number. */
interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit: "s" | "bytes" | "ratio" | "GFLOP" | "GFLOP/s" | "parameters";
}

export function printLoadReport(report: LoadReport, json: boolean): void {
  const metrics = loadMetrics(report);
  if (json) return metrics.forEach((metric) => printJson(metric));
  printLine(
    formatTable(
      ["part", right("parameters"), right("in the file"), right("to compute")],
      report.parts.map(({ part, parameters, storedBytes, computeBytes }) => [
        part,
        parameters,
        formatBytes(storedBytes),
        formatBytes(computeBytes),
      ]),
    ),
  );
  printLine("\n" + formatTable(["", right("")], metrics.map((m) => [label(m.name), readable(m)])));
}

function loadMetrics(report: LoadReport): Metric[] {
  const { memory, readyMemory, parts, peakBytes } = report;
  const computeBytes = parts.reduce((sum, part) => sum + part.computeBytes, 0);
  const held = heldBytes(memory);
  const seconds = (name: string, ms: number): Metric => ({ name, value: ms / 1000, unit: "s" });
  const bytes = (name: string, value: number): Metric => ({ name, value, unit: "bytes" });
  return [
    bytes("file", report.fileBytes),
    bytes("weights-to-compute", computeBytes),
    seconds("hash", report.hashMs),
    seconds("ready", report.readyMs),
    ...(report.firstTextMs === undefined ? [] : [seconds("first-text", report.firstTextMs)]),
    seconds("first-step", report.firstStepMs),
    seconds("next-step", report.nextStepMs),
    bytes("memory-when-ready", heldBytes(readyMemory)),
    bytes("memory-private", memory.privateBytes),
    bytes("memory-shared", memory.sharedBytes),
    bytes("memory", held),
    bytes("memory-peak", peakBytes),
    bytes("mapped-files", memory.fileBytes),
    { name: "memory-to-weights", value: held / computeBytes, unit: "ratio" },
    { name: "memory-peak-to-weights", value: peakBytes / computeBytes, unit: "ratio" },
  ];
}

export function printStepReport(report: StepReport, json: boolean): void {
  if (json) return stepMetrics(report).forEach((metric) => printJson(metric));
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
  printLine(formatTable(columns, [
    ...kinds.map(({ kind, ms, flops }) =>
      row(`${kind} (${operators(ops, kind)})`, callsOf(ops, kind), ms, flops)
    ),
    ...others.map(({ op, calls, ms }) => row(op, calls, ms)),
    row("outside of operators", "", outsideMs),
    row("step", "", stepMs, report.flops),
  ]));
  printLine(
    "\n" + formatTable(
      ["", right("")],
      stepMetrics(report).filter(({ name }) => !/^(op|calls)\./.test(name)).map((
        m,
      ) => [label(m.name), readable(m)]),
    ),
  );
}

function stepMetrics(report: StepReport): Metric[] {
  const { elapsedMs, bestRate, productRate, stepRate } = report;
  const seconds = (name: string, ms: number): Metric => ({ name, value: ms / 1000, unit: "s" });
  const gigaflops = (name: string, rate: number): Metric => ({
    name,
    value: rate / 1e9,
    unit: "GFLOP/s",
  });
  return [
    seconds("step", report.stepMs),
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

const right = (title: string): Column => ({ title, align: "right" });

/** `memory-peak` -> `memory peak` */
const label = (name: string) => name.replaceAll("-", " ");

function readable({ value, unit }: Metric): string {
  switch (unit) {
    case "s":
      return formatDuration(value * 1000);
    case "bytes":
      return formatBytes(value);
    case "ratio":
      return value.toFixed(3);
    default:
      return `${value.toFixed(1)} ${unit}`;
  }
}

function operators(ops: readonly OpRow[], kind: FlopKind): string {
  return ops.filter((row) => row.kind === kind).map(({ op }) => op).join(", ") || "none";
}

function callsOf(ops: readonly OpRow[], kind: FlopKind): number {
  return ops.filter((row) => row.kind === kind).reduce((sum, { calls }) => sum + calls, 0);
}
