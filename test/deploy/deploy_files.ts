/** Where the files of `deploy/` lie, and flags as a real command's help has them. @module */

import { join } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { run } from "../support/run_program.ts";

export const DEPLOY: string = join(MAIN_PROGRAM, "..", "deploy");

const helps = new Map<string, Promise<string>>();

function help(...command: string[]): Promise<string> {
  const key = command.join(" ");
  const known = helps.get(key) ??
    run(Deno.execPath(), ["run", "-q", "-A", MAIN_PROGRAM, ...command, "--help", "all"]);
  helps.set(key, known);
  return known;
}

/** Whether this version has the command. */
export async function hasCommand(name: string): Promise<boolean> {
  return new RegExp(`^  ${name} `, "m").test(await help());
}

/** The flags of a command line that the command's help does not name. */
export async function unknownFlags([command, ...args]: readonly string[]): Promise<string[]> {
  const text = await help(command!);
  const flags = args.filter((arg) => arg.startsWith("--")).map((arg) => arg.split("=")[0]!);
  return flags.filter((flag) => !new RegExp(`(^|[ ,])${flag}([ ,]|$)`, "m").test(text));
}
