/** Whether command lines are ones that Tutti takes: the commands themselves say what they have. @module */

import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { run } from "../support/run_program.ts";
import project from "../../deno.json" with { type: "json" };

interface Help {
  readonly flags: ReadonlySet<string>;
  readonly subcommands: ReadonlySet<string>;
}

const helps = new Map<string, Promise<Help>>();

/** What a command's help lists; of no words, that of `tutti`. */
export function helpOf(words: readonly string[]): Promise<Help> {
  const key = words.join(" ");
  const known = helps.get(key) ?? readHelp(words);
  helps.set(key, known);
  return known;
}

async function readHelp(words: readonly string[]): Promise<Help> {
  const args = [
    "run",
    "-q",
    "-A",
    MAIN_PROGRAM,
    ...words,
    "--help",
    ...(words.length > 0 ? ["all"] : []),
  ];
  const text = await run(Deno.execPath(), args);
  const [, commands = ""] = /^Commands:\n((?: .*\n)*)/m.exec(text) ?? [];
  return {
    // Options stand in groups, each line of one begins alike.
    flags: new Set([...text.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag!)),
    subcommands: new Set([...commands.matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => name!)),
  };
}

/**
 * What is wrong with a command: of `tutti`, of a task of deno.json, or of neither, which is none of ours.
 *
 * @param words as `findCommands()` gives them
 */
export async function commandProblems(words: readonly string[]): Promise<string[]> {
  const [program, ...args] = words;
  if (program === "tutti") return await tuttiProblems(args);
  const task = program === "deno" && args[0] === "task"
    ? args.slice(1)
    : program === "npx" && args[2] === "task"
    ? args.slice(3)
    : undefined;
  return task ? await taskProblems(task) : [];
}

async function tuttiProblems(args: readonly string[]): Promise<string[]> {
  // A placeholder, as in `tutti COMMAND --help`.
  if (/^[A-Z]+$/.test(args[0] ?? "")) return [];
  const path: string[] = [];
  let help = await helpOf(path);
  for (const word of args) {
    if (help.subcommands.size === 0 || word.startsWith("-")) break;
    if (!help.subcommands.has(word)) return [`there is no "tutti ${[...path, word].join(" ")}"`];
    help = await helpOf([...path, word]);
    path.push(word);
  }
  return flagsOf(args).filter((flag) => !help.flags.has(flag))
    .map((flag) => `"tutti ${path.join(" ")}" has no ${flag}`);
}

async function taskProblems([name = "", ...args]: readonly string[]): Promise<string[]> {
  const tasks: Readonly<Record<string, { readonly command: string }>> = project.tasks;
  const task = tasks[name];
  if (!task) return [`there is no task "${name}"`];
  const [, program = "", own = ""] =
    /deno run.* (\S+\.ts)(?: --cwd \S+)? ?(.*)$/.exec(task.command) ?? [];
  if (program === "main.ts") {
    return await tuttiProblems([...own.split(" ").filter(Boolean), ...args]);
  }
  if (args.length === 0) return [];
  const source = await Deno.readTextFile(new URL(`../../${program}`, import.meta.url));
  return flagsOf(args).filter((flag) => !source.includes(flag))
    .map((flag) => `task "${name}" has no ${flag}`);
}

function flagsOf(args: readonly string[]): string[] {
  return args.filter((arg) => /^--\w/.test(arg)).map((arg) => arg.split("=")[0]!);
}
