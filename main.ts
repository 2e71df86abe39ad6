/**
 * The front door: `tutti <command>`. Parses the command line, loads the role that the command belongs
 * to and nothing else, and turns errors into messages and exit codes.
 *
 * @module
 */

import { Command, CommanderError } from "commander";
import { EXIT, exitCode, TuttiError, UsageError } from "./shared/errors.ts";
import { endWithNpx } from "./shared/npx_watch.ts";
import { isJsonLog, logLine } from "./shared/telemetry/log_line.ts";
import { oneLine } from "./shared/terminal/display_width.ts";
import { groupHelp, takeHelpAll } from "./shared/terminal/grouped_help.ts";
import { styles } from "./shared/terminal/sgr.ts";
import { printable, printJson, printText } from "./shared/terminal/stdout.ts";
import { withHint } from "./shared/terminal/usage_hint.ts";
import { stderrTerminal } from "./shared/terminal/terminal.ts";
import project from "./deno.json" with { type: "json" };

interface CommandEntry {
  readonly summary: string;
  /** Exports `NAMECommand()`. @default "./coordinator/cli/NAME.ts" */
  readonly module?: string;
  /** Has the flags that say with which credentials. @default false */
  readonly callsWorkers?: boolean;
}

/** Every command; a command's module is loaded when it is the one that runs. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  sample: { summary: "draw an image with an ensemble", callsWorkers: true },
  sheet: {
    summary: "draw prompts by several experts, methods or samplers into one labelled grid",
    callsWorkers: true,
  },
  eval: {
    summary: "draw a suite of prompts by several methods and let networks of yours judge them",
    callsWorkers: true,
  },
  serve: {
    summary: "serve ensembles over HTTP, to the tools that people have",
    callsWorkers: true,
  },
  methods: { summary: "list the ways in which experts can play together" },
  submit: { summary: "put an image into the queue, for a coordinator to draw" },
  coordinator: { summary: "draw the jobs of the queue", callsWorkers: true },
  jobs: { summary: "show the jobs of the queue, or cancel one" },
  worker: { summary: "serve one expert", module: "./worker/cli.ts" },
  up: { summary: "start an ensemble's workers on this machine and leave them running" },
  down: { summary: "stop workers that `up` started" },
  ps: { summary: "show workers, their models, sessions and load", callsWorkers: true },
  top: { summary: "watch how busy workers are", callsWorkers: true },
  health: {
    summary: "ask one worker whether it is healthy; the exit code tells",
    callsWorkers: true,
  },
  certs: { summary: "make certificates and tokens to try a secure cluster with" },
  samplers: { summary: "list the samplers and schedules that images can be drawn with" },
  pull: { summary: "get a model by its name" },
  inspect: { summary: "tell what a model file or folder holds" },
  merge: { summary: "make one checkpoint out of several" },
  automerge: { summary: "look for the block weights with which two models merge best" },
  train: { summary: "train the aggregators (SABW) of an ensemble", callsWorkers: true },
  screen: {
    summary: "tell how much an ensemble's experts can gain, before training",
    callsWorkers: true,
  },
  compare: {
    summary: "compare a trained SABW with averaging, each expert, and one expert per block",
    callsWorkers: true,
  },
  zoo: { summary: "make models, and data to train with" },
  bench: { summary: "measure time and memory on this machine" },
  doctor: { summary: "tell what works on this machine, and what to do about the rest" },
  verify: { summary: "compare this build and machine with reference numbers" },
};

const EXAMPLES = `
Examples:
  tutti sample "a green heart above a yellow square on a plain black background"
  tutti worker --model models/dreamy --listen 127.0.0.1:7070
  tutti sample "a castle" --workers 127.0.0.1:7070,127.0.0.1:7071 --vae models/vae --tokenizer models/tokenizer
  tutti verify

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a worker cannot be reached, 4 a bad input file, 130 interrupted`;

/** @returns the exit code */
async function main(typed: readonly string[]): Promise<number> {
  const { args, isWhole } = takeHelpAll(typed);
  const behaved = (command: Command) => withManners(command, isWhole);
  const program = behaved(new Command("tutti"))
    .description("Samples images from several diffusion models at once, each on its own worker.")
    .version(project.version, "-V, --version")
    .addHelpText("after", EXAMPLES);
  const chosen = args.find((arg) => Object.hasOwn(COMMANDS, arg));
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = name === chosen
      ? await load(name, entry)
      : new Command(name).summary(entry.summary);
    program.addCommand(behaved(command));
  }
  const json = args.includes("--json");
  try {
    if (args.length === 0) {
      program.outputHelp();
      return EXIT.ok;
    }
    await program.parseAsync([...args], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    // Whoever read the output has enough of it, as in `tutti sample --help | head`.
    if (error instanceof Deno.errors.BrokenPipe) return EXIT.failed;
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      // Commander has printed its message for people.
      if (json) printErrorJson(new UsageError(oneLine(error.message).replace(/^error: /, "")));
      return EXIT.usage;
    }
    return report(TuttiError.from(error), json);
  }
}

async function load(
  name: string,
  { module = `./coordinator/cli/${name}.ts`, callsWorkers = false }: CommandEntry,
): Promise<Command> {
  // No literal: what Deno can read of an import before it runs, it loads before it runs, here all of Tutti in 0.4 s.
  const { [`${name}Command`]: command } = await import(module) as Record<string, () => Command>;
  if (!callsWorkers) return command!();
  const flags = "./coordinator/cli/security_flags.ts";
  const { callsWorkers: addFlags } = await import(
    flags
  ) as typeof import("./coordinator/cli/security_flags.ts");
  return addFlags(command!());
}

/** Errors are thrown, hints are given, help comes in groups, and a reader that goes away is no crash. */
function withManners(command: Command, isHelpWhole: boolean): Command {
  command.commands.forEach((inner) => withManners(inner, isHelpWhole));
  groupHelp(command, isHelpWhole);
  return command.exitOverride().showSuggestionAfterError().configureOutput({
    writeOut: printText,
    outputError: (message, write) => write(withHint(message)),
  });
}

/** Prints the error for a person on standard error, for a program as a line of JSON on standard output. */
function report(error: TuttiError, json: boolean): number {
  const code = exitCode(error);
  const terminal = stderrTerminal();
  if (json) printErrorJson(error);
  const level = styles(terminal.hasColour).red("error");
  const { message, code: reason } = error;
  terminal.write(
    isJsonLog()
      ? logLine({ level: "error", message, fields: { code: reason } })
      : `${level}: ${printable(message)}\n`,
  );
  if (error.code === "UNKNOWN" && error.cause instanceof Error && Deno.env.has("TUTTI_DEBUG")) {
    terminal.write(`${error.cause.stack}\n`);
  }
  return code;
}

function printErrorJson({ code, message, details }: TuttiError): void {
  printJson({ event: "error", code, message, details });
}

/** The tasks of deno.json run in the project's folder, and hand on first where the user is. */
function inUsersFolder([flag, folder, ...args]: readonly string[]): readonly string[] {
  if (flag !== "--cwd" || folder === undefined) return Deno.args;
  if (folder !== "") Deno.chdir(folder);
  return args;
}

await endWithNpx();
Deno.exitCode = await main(inUsersFolder(Deno.args));
