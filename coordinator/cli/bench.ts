/** `tutti bench`: time and memory on this machine. @module */

import { Command } from "commander";
import { UsageError } from "../../shared/errors.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { allCommand } from "./bench/all.ts";
import { BENCHES } from "./bench/benches.ts";
import { docsCommand } from "./bench/docs.ts";

const NOTES = `
Two things are compared by running them in turns, in one process: the ratio is the median over the rounds. Figures are
medians; half of the runs lie between the two numbers beside them.

Examples:
  tutti bench all
  tutti bench all --out results.jsonl
  tutti bench overhead --size 512`;

export function benchCommand(): Command {
  const command = new Command("bench")
    .summary("measure time and memory on this machine")
    .description("Measures time and memory on this machine.")
    .addCommand(allCommand())
    .addHelpText("after", NOTES);
  for (const bench of BENCHES) command.addCommand(bench.command());
  command.addCommand(docsCommand());
  return command.allowExcessArguments().action(() => {
    const [unknown] = command.args;
    if (unknown === undefined) return command.outputHelp();
    const names = command.commands.map((subcommand) => subcommand.name());
    throw new UsageError(`unknown command '${unknown}'${didYouMean(unknown, names)}`);
  });
}
