/**
 * `deno task same --base COMMIT [--only NAME,...] [--goldens FOLDER] [--json]`: whether a change of the code has changed a number.
 *
 * Runs the program of a base commit and the program of this tree on this machine, with the same commands, and compares what
 * comes out to the bit: pixels, latents, attention maps, weights, losses and the errors of `tutti verify`. Times, ids, paths and
 * versions may differ. It is what a rewrite that must not change behaviour is held against, where tests with tolerances are
 * too coarse and numbers kept in files hold for one machine only.
 *
 * Exit code 0 if all is equal (scenarios that cannot be played here are skipped, and say so), 1 if something differs or fails.
 *
 * @module
 */

import { resolve } from "node:path";
import { Command } from "commander";
import { onInterrupt } from "../../coordinator/cli/interrupt.ts";
import { EXIT, exitCode, TuttiError, UsageError } from "../../shared/errors.ts";
import { BUNDLED_GOLDENS, MAIN_PROGRAM } from "../../shared/project_files.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { provideBaseTree } from "./base_tree.ts";
import {
  compareVersions,
  type Comparing,
  formatCompared,
  formatVerdict,
} from "./compare_versions.ts";
import type { ScenarioResult, Version } from "./compare_versions.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/scenarios.ts";

interface Flags {
  readonly base: string;
  readonly only?: string;
  readonly goldens: string;
  readonly json: boolean;
}

/** Both programs, one after the other. */
const PLAYS = 2;

/** @returns the exit code */
async function runSame({ base, only, goldens, json }: Flags): Promise<number> {
  const chosen = choose(only);
  const terminal = stderrTerminal();
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const tree = await provideBaseTree(base, {
    signal,
    say: (text) => terminal.write(`${text}\n`),
  });
  const results: ScenarioResult[] = [];
  {
    using progress = new Progress({
      label: "Comparing",
      total: PLAYS * chosen.length,
      terminal,
      now: () => performance.now(),
    });
    const comparing: Omit<Comparing, "onVersion"> = {
      programs: { base: tree.mainProgram, current: MAIN_PROGRAM },
      say: (text) => progress.note(text),
      goldens: resolve(goldens),
      signal,
    };
    for (const [i, scenario] of chosen.entries()) {
      const onVersion = (version: Version) => {
        const done = PLAYS * i + (version === "base" ? 0 : 1);
        progress.update(done, `${scenario.name}, ${version}`);
      };
      const result = await compareVersions(scenario, { ...comparing, onVersion });
      results.push(result);
      progress.note(progressLine(result));
      if (json) printJson(result);
    }
    progress.update(PLAYS * chosen.length, "Comparing");
  }
  if (!json) printLine(resultTable(results));
  const isGood = ({ verdict }: ScenarioResult) => verdict === "equal" || verdict === "skipped";
  return results.every(isGood) ? EXIT.ok : EXIT.failed;
}

function choose(only: string | undefined): readonly Scenario[] {
  if (only === undefined) return SCENARIOS;
  const names = only.split(",");
  const known = SCENARIOS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(
      `--only must name some of ${known.join(", ")}: current value is "${unknown}"`,
    );
  }
  return SCENARIOS.filter(({ name }) => names.includes(name));
}

function progressLine({ scenario, verdict, seconds: { base, current } }: ScenarioResult): string {
  const times = base === undefined || current === undefined ? "" : ` (${base} s, ${current} s)`;
  return `${scenario}: ${verdict}${times}`;
}

/** What was compared is told as the base has it: values, and in how many tensors. */
function resultTable(results: readonly ScenarioResult[]): string {
  return formatTable(
    ["scenario", "compared: values in tensors", "result"],
    results.map((result) => [result.scenario, formatCompared(result), formatVerdict(result)]),
  );
}

function fail(error: TuttiError): number {
  stderrTerminal().write(`error: ${error.message}\n`);
  return exitCode(error);
}

let code: number = EXIT.ok;
await new Command("same")
  .requiredOption("--base <commit>", "the version to compare this tree with")
  .option("--only <names>", "scenarios to play, separated by commas (default: all)")
  .option("--goldens <folder>", "reference numbers for the scenario verify", BUNDLED_GOLDENS)
  .option("--json", "print one JSON object per scenario", false)
  .addHelpText(
    "after",
    `\nScenarios:\n${
      formatTable(["", ""], SCENARIOS.map(({ name, what }) => [`  ${name}`, what]))
    }`,
  )
  .action(async (flags: Flags) => {
    code = await runSame(flags).catch((error) => fail(TuttiError.from(error)));
  })
  .parseAsync(["deno", "same", ...Deno.args]);
Deno.exit(code);
