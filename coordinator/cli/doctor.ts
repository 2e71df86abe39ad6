/** `tutti doctor`: what works on this machine, and what to do about the rest. @module */

import { Command } from "commander";
import { TuttiError } from "../../shared/errors.ts";
import { displayWidth, oneLine } from "../../shared/terminal/display_width.ts";
import { styles } from "../../shared/terminal/sgr.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { examine } from "../doctor/doctor.ts";
import type { Finding } from "../doctor/finding.ts";

const EXAMPLES = `
Each row is "ok", "absent" (sampling on the processor does without it) or "failed". Exit code 1 if one failed. Devices are
tried in processes of their own, so a driver that crashes is a row, not the end.

Examples:
  tutti doctor
  tutti doctor castles.toml
  tutti doctor --json | jq '.findings[] | select(.verdict != "ok")'`;

export function doctorCommand(): Command {
  return new Command("doctor")
    .summary("tell what works on this machine, and what to do about the rest")
    .description(
      "Looks at versions, devices, memory, files and ports, and names the next step for each problem.",
    )
    .argument("[ensemble]", "an ensemble file, whose experts are to fit into memory")
    .option("--json", "print one JSON object", false)
    .addHelpText("after", EXAMPLES)
    .action((ensemble: string | undefined, flags: { readonly json: boolean }) =>
      runDoctor(ensemble, flags)
    );
}

async function runDoctor(
  ensemble: string | undefined,
  { json }: { readonly json: boolean },
): Promise<void> {
  const findings: Finding[] = [];
  for await (const finding of examine(ensemble)) {
    findings.push(finding);
    if (!json) printLine(formatFinding(finding));
  }
  const failures = findings.filter(({ verdict }) => verdict === "failed");
  if (json) printJson({ ok: failures.length === 0, findings });
  if (failures.length > 0) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Sampling does not work on this machine before this does: ${
        failures.map(({ name }) => name).join(", ")
      }`,
    );
  }
}

const VERDICT_WIDTH = "absent".length;
const NAME_WIDTH = "bundled experts".length;

function formatFinding({ name, verdict, value, nextStep }: Finding): string {
  const { red, green, yellow } = styles(Deno.stdout.isTerminal() && !Deno.noColor);
  const paint = { ok: green, absent: yellow, failed: red }[verdict];
  const pad = (text: string, width: number) => text + " ".repeat(width - displayWidth(text));
  const indent = " ".repeat(VERDICT_WIDTH + NAME_WIDTH + 4);
  const row = `${paint(pad(verdict, VERDICT_WIDTH))}  ${pad(name, NAME_WIDTH)}  ${oneLine(value)}`;
  return nextStep === undefined ? row : `${row}\n${indent}next: ${oneLine(nextStep)}`;
}
