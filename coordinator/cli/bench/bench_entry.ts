/**
 * What a benchmark is to the command line. A new one is a file beside this one that exports `defineBench({...})`, and a line
 * in `benches.ts`; `tutti bench all` and the tests then run it, too.
 *
 * @module
 */

import { Command } from "commander";
import { TuttiError } from "../../../shared/errors.ts";
import { Progress } from "../../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../../shared/terminal/terminal.ts";
import { benchMachine, sourceCommit } from "../../bench/bench_machine.ts";
import type { BenchFigure, BenchResult } from "../../bench/bench_result.ts";
import { onInterrupt } from "../interrupt.ts";
import { figuresTable } from "./figures_table.ts";

export interface BenchContext {
  readonly signal: AbortSignal;
  /** Nothing is written for people. */
  readonly json: boolean;
  /** A bar with the time that is left; the caller stops it. */
  progress(label: string, total: number): Progress;
}

export interface BenchReport {
  readonly figures: readonly BenchFigure[];
  /** What people see; without it a table of the figures. */
  readonly text?: string;
  /** Why the command fails, once the figures are printed: they say that something is wrong. */
  readonly failure?: string;
}

export interface BenchDefinition<Flags> {
  /** As in `tutti bench NAME`. */
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  /** What to know about the numbers, and examples; below the options. */
  readonly notes: string;
  /** Adds its own options; `--json` is everybody's. */
  options(command: Command): Command;
  run(flags: Flags, context: BenchContext): Promise<BenchReport>;
  /** How `tutti bench all` runs it, and about how long that takes on two cores. */
  readonly full: { readonly args: readonly string[]; readonly minutes: number };
  /** Arguments with which it runs within seconds; its numbers then mean nothing. */
  readonly toy: readonly string[];
}

export interface BenchEntry extends Pick<BenchDefinition<never>, "name" | "full" | "toy"> {
  command(): Command;
}

export function defineBench<Flags>(bench: BenchDefinition<Flags>): BenchEntry {
  const { name, full, toy } = bench;
  const command = () =>
    bench.options(
      new Command(name).summary(bench.summary).description(bench.description),
    )
      .option("--json", "print one JSON object a line: name, value, unit, spread, machine", false)
      .addHelpText("after", `\n${bench.notes}`)
      .action((flags: Flags & { readonly json: boolean }) => runBench(bench, flags));
  return { name, full, toy, command };
}

async function runBench<Flags>(
  bench: BenchDefinition<Flags>,
  flags: Flags & { readonly json: boolean },
): Promise<void> {
  using interrupt = onInterrupt();
  const { json } = flags;
  const progress = (label: string, total: number) =>
    new Progress({
      ...{ label, total, isSilent: json },
      terminal: stderrTerminal(),
      now: () => performance.now(),
    });
  const context = { signal: interrupt.signal, json, progress };
  const { figures, text, failure } = await bench.run(flags, context);
  if (json) await printResults(bench.name, figures);
  else printLine(text ?? figuresTable(figures));
  if (failure !== undefined) throw new TuttiError("FAILED_PRECONDITION", failure);
}

async function printResults(bench: string, figures: readonly BenchFigure[]): Promise<void> {
  const [machine, commit] = [benchMachine(), await sourceCommit()];
  for (const figure of figures) {
    printJson({ ...figure, bench, machine, commit } satisfies BenchResult);
  }
}
