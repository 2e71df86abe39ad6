/**
 * `deno task fuzz [--mutations N] [--seed N] [--target NAME] [--json]`: damaged inputs by the thousand to everything that
 * reads inputs from outside. Exit code 1 if anything but a typed refusal came of one.
 *
 * @module
 */

import { Command } from "commander";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { wholeNumber } from "../../shared/terminal/whole_number.ts";
import { fuzz, type FuzzReport } from "./fuzz.ts";
import { FUZZ_TARGETS } from "./targets/targets.ts";

interface FuzzFlags {
  readonly mutations: number;
  readonly seed: number;
  readonly target?: string;
  readonly json: boolean;
}

async function runFuzz({ mutations, seed, target, json }: FuzzFlags): Promise<void> {
  const chosen = FUZZ_TARGETS.filter(({ name }) => target === undefined || name === target);
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  const reports: FuzzReport[] = [];
  for (const { name, open, share } of chosen) {
    const count = Math.ceil(mutations * share / shares);
    await using opened = await open();
    using progress = new Progress({
      ...{ label: name, total: count, terminal: stderrTerminal(), isSilent: json },
      now: () => performance.now(),
    });
    const onProgress = (done: number) => progress.update(done);
    const report = await fuzz(opened, { mutations: count, seed, onProgress });
    reports.push(report);
    if (json) printJson(report);
  }
  const failures = reports.flatMap((report) => report.failures);
  if (!json) {
    printLine(formatReports(reports));
    for (const { target, mutation, problem, hex } of failures) {
      printLine(`${target}, mutation ${mutation} (seed ${seed}): ${problem}\n  input: ${hex}`);
    }
  }
  if (failures.length > 0) Deno.exit(1);
}

function formatReports(reports: readonly FuzzReport[]): string {
  return formatTable(
    [
      { title: "target" },
      { title: "mutations", align: "right" },
      { title: "failures", align: "right" },
      { title: "good inputs", align: "right" },
      { title: "slowest", align: "right" },
      { title: "a second", align: "right" },
      { title: "memory", align: "right" },
      { title: "outcomes" },
    ],
    reports.map((report) => [
      report.target,
      String(report.mutations),
      String(report.failures.length),
      String(report.goodInputs),
      `${report.slowestMs.toFixed(0)} ms`,
      (report.mutations / report.seconds).toFixed(0),
      `${report.grownMegabytes.toFixed(0)} MB`,
      Object.entries(report.outcomes).map(([code, count]) => `${code} ${count}`).join(", "),
    ]),
  );
}

await new Command("fuzz")
  .option("--mutations <n>", "in all", wholeNumber("--mutations"), 1_000_000)
  .option("--seed <n>", "of the mutations", wholeNumber("--seed", 0), 1)
  .option("--target <name>", `one of ${FUZZ_TARGETS.map(({ name }) => name).join(", ")}`)
  .option("--json", "one line of JSON per target", false)
  .action(runFuzz)
  .parseAsync(["deno", "fuzz", ...Deno.args]);
