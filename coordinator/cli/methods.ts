/** `tutti methods`: the ways in which the experts of an ensemble can play together. @module */

import { Command } from "commander";
import { formatTable } from "../../shared/terminal/table.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { METHODS } from "../sampling/methods/methods.ts";

const EXAMPLES = `
Options follow the name: NAME:key=value,key=value.

Examples:
  tutti methods
  tutti sample "a castle at dawn" --ensemble castles.toml --method magicfusion:uncond=general
  tutti sample "a castle at dawn" --ensemble castles.toml --method switch:photo=0,anime=0.4
  tutti sample "a castle at dawn" --ensemble castles.toml --method one-hot:photo
  tutti sample "a castle at dawn" --ensemble castles.toml --method regions:photo=0/0/0.5/1,anime=0.5/0/1/1,feather=0.2
  tutti sample "a castle at dawn" --ensemble castles.toml --method superdiff-or --sampler euler_a --steps 200`;

export function methodsCommand(): Command {
  return new Command("methods")
    .summary("list the ways in which experts can play together")
    .description("Lists the ensembling methods that --method takes.")
    .option("--json", "print one JSON object", false)
    .addHelpText("after", EXAMPLES)
    .action(({ json }: { readonly json: boolean }) => listMethods(json));
}

function listMethods(json: boolean): void {
  if (json) {
    const methods = METHODS.map(({ name, aliases, summary }) => ({ name, aliases, summary }));
    printJson({ version: 1, methods });
    return;
  }
  const columns = [{ title: "method", align: "left" }, { title: "", align: "left" }] as const;
  printLine(formatTable(columns, METHODS.map(({ name, summary }) => [name, summary])));
}
