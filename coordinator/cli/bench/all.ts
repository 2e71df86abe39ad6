/**
 * `tutti bench all`: every benchmark with its own defaults, one after the other, each in a process of its own, so that no
 * one finds the memory of those before it.
 *
 * @module
 */

import { Command } from "commander";
import { throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { Progress } from "../../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../../shared/terminal/terminal.ts";
import type { BenchResult } from "../../bench/bench_result.ts";
import { readable } from "../../bench/format_figure.ts";
import { onInterrupt } from "../interrupt.ts";
import type { BenchEntry } from "./bench_entry.ts";
import { BENCHES } from "./benches.ts";
import { runBenchProcess } from "./bench_process.ts";
import { figuresTable } from "./figures_table.ts";

interface AllFlags {
  readonly toy: boolean;
  readonly out?: string;
  readonly json: boolean;
}

/** The bar counts seconds: a benchmark in another process tells nothing before it ends. */
const TICK_MS = 1000;
/** Of each benchmark at toy size. */
const TOY_SECONDS = 4;

function notes(): string {
  const minutes = BENCHES.reduce((sum, { full }) => sum + full.minutes, 0);
  return `
Takes about ${
    Math.ceil(minutes)
  } minutes on two cores, 16 GB of memory and 4 GB of disk. A benchmark that fails does not keep
the others from running. Leave the machine alone meanwhile.

Examples:
  tutti bench all
  tutti bench all --out results.jsonl && tutti bench docs results.jsonl
  tutti bench all --toy`;
}

export function allCommand(): Command {
  return new Command("all")
    .summary("run every benchmark with its defaults")
    .description("Runs every benchmark with its defaults, one after the other.")
    .option("--out <file>", "write the results there as well, one JSON object a line")
    .option("--toy", "tiny sizes: shows that they run; the numbers mean nothing", false)
    .option("--json", "print one JSON object a line", false)
    .addHelpText("after", notes())
    .action((flags: AllFlags) => runAll(flags));
}

/** @throws {TuttiError} naming every benchmark that failed, after all have run */
async function runAll({ toy, out, json }: AllFlags): Promise<void> {
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  // Whatever is in the way of the file is said before the first minute is spent.
  if (out !== undefined) await write(out, "", { createNew: true });
  using progress = new AllProgress(toy, json);
  const failures: string[] = [];
  const tables: string[] = [];
  for (const bench of BENCHES) {
    throwIfAborted(signal);
    using _running = progress.start(bench);
    try {
      const args = toy ? bench.toy : bench.full.args;
      const results = await runBenchProcess([bench.name, ...args], signal);
      if (out !== undefined) await write(out, jsonLines(results), { append: true });
      if (json) results.forEach((result) => printJson(result));
      else progress.note(`${bench.name}: ${results[0]?.name} is ${readable(results[0]!)}`);
      tables.push(`${bench.name}\n${figuresTable(results)}`);
    } catch (error) {
      throwIfAborted(signal);
      failures.push(`${bench.name}: ${TuttiError.from(error).message}`);
    }
  }
  progress.stop();
  if (!json) printLine(tables.join("\n\n"));
  if (failures.length === 0) return;
  throw new TuttiError(
    "ABORTED",
    `${failures.length} of ${BENCHES.length} benchmarks failed: ${failures.join("; ")}`,
  );
}

/** One bar for all benchmarks, in seconds as they are expected. */
class AllProgress implements Disposable {
  readonly #isToy: boolean;
  readonly #progress: Progress;
  #secondsBefore = 0;

  constructor(isToy: boolean, isSilent: boolean) {
    this.#isToy = isToy;
    this.#progress = new Progress({
      label: "Benchmarks (s)",
      total: Math.ceil(BENCHES.reduce((sum, bench) => sum + this.#seconds(bench), 0)),
      terminal: stderrTerminal(),
      now: () => performance.now(),
      isSilent,
    });
  }

  /** Moves on by the second until it is disposed, then by the rest of what was expected. */
  start(bench: BenchEntry): Disposable {
    const label = `${bench.name} (${BENCHES.indexOf(bench) + 1} of ${BENCHES.length})`;
    const expected = this.#seconds(bench);
    const start = performance.now();
    const tick = () => {
      const seconds = Math.min(expected, (performance.now() - start) / 1000);
      this.#progress.update(Math.floor(this.#secondsBefore + seconds), label);
    };
    tick();
    const timer = setInterval(tick, TICK_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        this.#secondsBefore += expected;
      },
    };
  }

  /** A line above the bar. */
  note(text: string): void {
    this.#progress.note(text);
  }

  /** All have run. */
  stop(): void {
    this.#progress.update(Math.ceil(this.#secondsBefore));
    this.#progress.stop();
  }

  [Symbol.dispose](): void {
    this.#progress.stop();
  }

  #seconds({ full }: BenchEntry): number {
    return this.#isToy ? TOY_SECONDS : 60 * full.minutes;
  }
}

function jsonLines(results: readonly BenchResult[]): string {
  return results.map((result) => `${JSON.stringify(result)}\n`).join("");
}

async function write(path: string, text: string, options: Deno.WriteFileOptions): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, options);
  } catch (cause) {
    throw new TuttiError("UNKNOWN", `Cannot write "${path}": ${(cause as Error).message}`, {
      cause,
    });
  }
}
