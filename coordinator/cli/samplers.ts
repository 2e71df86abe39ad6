/** `tutti samplers`: which samplers and schedules there are, and what they are called elsewhere. @module */

import { Command } from "commander";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { type SamplerFacts, samplerFacts } from "../settings/sampler_facts.ts";
import { SAMPLERS } from "../sampling/samplers/samplers.ts";
import { SCHEDULES } from "../sampling/samplers/sigma_schedules.ts";
import { PRESETS, USUAL_PRESET } from "../settings/presets.ts";

const EXAMPLES = `
A sampler's name may have a schedule's behind it: "DPM++ 2M Karras" is dpmpp_2m with the schedule karras.

Examples:
  tutti samplers
  tutti samplers "DPM++ 2M Karras"
  tutti samplers --json | jq 'select(.evaluationsPerStep == 1).name'`;

export function samplersCommand(): Command {
  return new Command("samplers")
    .summary("list the samplers and schedules that images can be drawn with")
    .description("Lists samplers and schedules: a line each, and their names in other tools.")
    .argument("[name]", "one of them only, by any of its names")
    .option("--json", "print one JSON object per sampler", false)
    .addHelpText("after", EXAMPLES)
    .action((name: string | undefined, { json }: { readonly json: boolean }) => {
      const rows = (name === undefined ? SAMPLERS.map((each) => each.name) : [name]).map(
        samplerFacts,
      );
      if (json) rows.forEach(printJson);
      else printSamplers(rows, name === undefined);
    });
}

/** What a command line means that names none. */
const USUAL = PRESETS[USUAL_PRESET].settings;

function printSamplers(samplers: readonly SamplerFacts[], withSchedules: boolean): void {
  printLine(formatTable(
    ["sampler", "calls", "eta", "schedules", "what it is", "also called"],
    samplers.map(({ name, label, aliases, summary, evaluationsPerStep, eta, schedules }) => [
      name,
      evaluationsPerStep,
      eta === undefined ? "" : String(eta),
      schedulesText(schedules),
      summary,
      [label, ...aliases].join(", "),
    ]),
  ));
  if (!withSchedules) return;
  printLine(
    `\nCalls are evaluations of the models a step; eta is the share of new noise, where it can be set. Without --sampler it is ${USUAL.sampler} with ${USUAL.steps} steps.\n`,
  );
  printLine(formatTable(
    ["schedule", "what it is", "also called"],
    SCHEDULES.map(({ name, label, aliases, summary }) => [
      name,
      summary,
      [label, ...aliases].join(", "),
    ]),
  ));
}

function schedulesText(names: SamplerFacts["schedules"]): string {
  if (names.length === SCHEDULES.length) return "all";
  return names.length === 0 ? "none" : names.join(", ");
}
