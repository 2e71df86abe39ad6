import assert from "node:assert/strict";
import { Command } from "commander";
import {
  groupHelp,
  inGroup,
  shortenHelp,
  takeHelpAll,
} from "../../../shared/terminal/grouped_help.ts";

/** What a command prints as its help. */
function helpOf({ isWhole }: { isWhole: boolean }): string {
  let text = "";
  const command = new Command("paint").option("--plain", "in no group");
  inGroup(command, "Files", (files) => files.option("--to <file>", "where to"));
  inGroup(command, "Basics", (basics) => basics.option("--steps <n>", "how often"));
  shortenHelp(command, ["--steps"]).addHelpText("after", "\nExamples:\n  paint");
  groupHelp(command, isWhole);
  command.configureOutput({ writeOut: (more) => void (text += more) }).outputHelp();
  return text;
}

Deno.test("short help shows its flags, and ends with what it leaves out", () => {
  assert.equal(
    helpOf({ isWhole: false }),
    `Usage: paint [options]

Basics:
  --steps <n>       how often
  -h, --help [all]  this help; with all, every option

Examples:
  paint

tutti paint --help all shows the other 2 options: Options, Files
`,
  );
});

Deno.test("whole help shows every option, in groups that have one order", () => {
  const help = helpOf({ isWhole: true });
  assert.deepEqual(help.match(/^\S+:$|--[a-z]+/gm), [
    "Options:",
    "--plain",
    "Basics:",
    "--steps",
    "--help",
    "Files:",
    "--to",
    "Examples:",
  ]);
});

Deno.test("takeHelpAll() takes the word after the help flag, and no prompt", () => {
  assert.deepEqual(takeHelpAll(["sample", "--help", "all"]), {
    args: ["sample", "--help"],
    isWhole: true,
  });
  assert.deepEqual(takeHelpAll(["sample", "all", "-h", "all"]), {
    args: ["sample", "all", "-h"],
    isWhole: true,
  });
  for (const args of [["sample", "all"], ["sample", "--help"], ["sample", "--", "--help", "all"]]) {
    assert.deepEqual(takeHelpAll(args), { args, isWhole: false });
  }
});
