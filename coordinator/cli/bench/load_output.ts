/** Results of `tutti bench load`. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import { formatBytes } from "../../../shared/terminal/units.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import type { LoadReport } from "../../bench/load_bench.ts";
import { heldBytes } from "../../bench/resident_memory.ts";
import { labelledFigures, right } from "./figures_table.ts";

/** What each part of the model weighs, and below it what it cost. */
export function loadText(report: LoadReport): string {
  const parts = formatTable(
    ["part", right("parameters"), right("in the file"), right("to compute")],
    report.parts.map(({ part, parameters, storedBytes, computeBytes }) => [
      part,
      parameters,
      formatBytes(storedBytes),
      formatBytes(computeBytes),
    ]),
  );
  return `${parts}\n\n${labelledFigures(loadFigures(report))}`;
}

export function loadFigures(report: LoadReport): BenchFigure[] {
  const { memory, readyMemory, parts, peakBytes } = report;
  const computeBytes = parts.reduce((sum, part) => sum + part.computeBytes, 0);
  const held = heldBytes(memory);
  const partsMs = report.passes.readMs + report.passes.convertMs + report.nextStepMs;
  const seconds = (name: string, ms: number): BenchFigure => ({
    name,
    value: ms / 1000,
    unit: "s",
  });
  const bytes = (name: string, value: number): BenchFigure => ({ name, value, unit: "bytes" });
  return [
    bytes("file", report.fileBytes),
    bytes("weights-to-compute", computeBytes),
    seconds("hash", report.hashMs),
    seconds("ready", report.readyMs),
    ...(report.firstTextMs === undefined ? [] : [seconds("first-text", report.firstTextMs)]),
    seconds("first-step", report.firstStepMs),
    seconds("next-step", report.nextStepMs),
    seconds("second-start-step", report.secondStartStepMs),
    seconds("read", report.passes.readMs),
    seconds("convert", report.passes.convertMs),
    { name: "first-step-to-parts", value: report.firstStepMs / partsMs, unit: "ratio" },
    {
      name: "second-start-step-to-parts",
      value: report.secondStartStepMs / partsMs,
      unit: "ratio",
    },
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
