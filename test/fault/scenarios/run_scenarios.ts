/**
 * `deno task fault [--scenario NAMES] [--images N] [--seed N] [--out FILE] [--docs]`: plays scenarios against real processes.
 * Exit code 1 if something that must hold did not.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { DOCS } from "../../../shared/project_files.ts";
import { Progress } from "../../../shared/terminal/progress.ts";
import { printLine } from "../../../shared/terminal/stdout.ts";
import { formatTable } from "../../../shared/terminal/table.ts";
import { stderrTerminal } from "../../../shared/terminal/terminal.ts";
import { wholeNumber } from "../../../shared/terminal/whole_number.ts";
import { TuttiHome } from "../../support/run_tutti.ts";
import { faultRows, withFaultTable } from "./fault_table.ts";
import { playScenario } from "./run_scenario.ts";
import type { Scenario } from "./scenario.ts";
import { ATTACKED, KILL_STORM, SCENARIOS, SOAK } from "./scenarios.ts";
import { merge, summarize, type Summary } from "./summary.ts";

interface Flags {
  readonly scenario?: string;
  readonly images?: number;
  readonly minutes?: number;
  readonly seed: number;
  readonly out?: string;
  readonly docs: boolean;
}

/** Not among those that are played without a name. */
const LONG = [ATTACKED, KILL_STORM, SOAK];
const RESULTS = join(import.meta.dirname!, "../results");
const PAGE = join(DOCS, "faults.md");

async function run({ scenario: wanted, images, minutes, seed, out, docs }: Flags): Promise<void> {
  if (docs) return await writePage();
  const names = wanted?.split(",");
  const chosen = names
    ? [...SCENARIOS, ...LONG].filter(({ name }) => names.includes(name))
    : SCENARIOS;
  const summaries: Summary[] = [];
  for (const scenario of chosen) {
    const load = {
      ...scenario.load,
      ...(images !== undefined && { images }),
      ...(minutes !== undefined && { minutes }),
    };
    const summary = await play({ ...scenario, load }, seed);
    summaries.push(summary);
    if (out === undefined) continue;
    await Deno.writeTextFile(out, `${JSON.stringify(summary)}\n`, { append: true });
  }
  printLine(formatTable(
    ["scenario", "images", "events", "failed", "other bits", "noticed", "replaced"],
    faultRows(summaries).map(([_, ...cells], i) => [summaries[i]!.scenario, ...cells]),
  ));
  const problems = summaries.flatMap(({ scenario, checks }) =>
    checks.flatMap(({ check, problem }) =>
      problem === undefined ? [] : [`${scenario}: ${check}: ${problem}`]
    )
  );
  for (const problem of problems) printLine(problem);
  if (problems.length > 0) Deno.exit(1);
}

async function play(scenario: Scenario, seed: number): Promise<Summary> {
  const home = await TuttiHome.create();
  try {
    const { images, minutes = 0 } = scenario.load;
    using progress = new Progress({
      ...{ label: scenario.name, total: minutes * 60 || images, terminal: stderrTerminal() },
      now: () => performance.now(),
    });
    const start = performance.now();
    let drawn = 0;
    const onImage = () => {
      drawn++;
      const seconds = Math.round((performance.now() - start) / 1000);
      progress.update(minutes > 0 ? Math.min(seconds, minutes * 60) : drawn);
    };
    return summarize(await playScenario(scenario, { home, seed, onImage }), seed);
  } finally {
    await home.killProcesses();
    await rm(home.path, { recursive: true });
  }
}

/** The table from all that was kept. */
async function writePage(): Promise<void> {
  const files = (await Array.fromAsync(Deno.readDir(RESULTS))).map(({ name }) => name).sort();
  const texts = await Promise.all(files.map((name) => Deno.readTextFile(join(RESULTS, name))));
  const summaries = texts.flatMap((text) =>
    text.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Summary)
  );
  await Deno.writeTextFile(
    PAGE,
    withFaultTable(await Deno.readTextFile(PAGE), merge(summaries)),
  );
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
}

await new Command("fault")
  .option(
    "--scenario <names>",
    `of ${SCENARIOS.map(({ name }) => name).join(", ")} (default: all of these), ${
      LONG.map(({ name }) => name).join(", ")
    }`,
  )
  .option("--images <n>", "images (default: the scenario's own)", wholeNumber("--images"))
  .option(
    "--minutes <n>",
    "go on with further images for so long (default: the scenario's own)",
    wholeNumber("--minutes"),
  )
  .option("--seed <n>", "of the lots", wholeNumber("--seed", 0), 1)
  .option("--out <file>", "add the results to this file, a line of JSON each")
  .option("--docs", "write the table of docs/faults.md from test/fault/results instead", false)
  .action(run)
  .parseAsync(["deno", "fault", ...Deno.args]);
