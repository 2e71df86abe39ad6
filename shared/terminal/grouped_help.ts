/**
 * Help that a newcomer can read: options in groups, and of commands with many only those that people use. `--help all`
 * shows every option. Options get their groups where they are made, from Commander's `helpGroup()` and `optionsGroup()`.
 *
 * @module
 */

import { type Command, Help, Option } from "commander";
import { headingOf, HELP_GROUPS, type HelpGroup } from "./help_groups.ts";

/** The flags that a command's short help shows. */
const shortLists = new WeakMap<Command, ReadonlySet<string>>();
/** Of help that goes to no terminal, as Commander has it. */
const DEFAULT_WIDTH = 80;
const HEADINGS: readonly string[] = HELP_GROUPS.map(headingOf);

/** Gives a command a short help with these flags, such as `--steps`. */
export function shortenHelp(command: Command, flags: readonly string[]): Command {
  shortLists.set(command, new Set([...flags, "--help"]));
  return command.addHelpOption(
    new Option("-h, --help [all]", "this help; with all, every option").helpGroup(
      headingOf("Basics"),
    ),
  );
}

/** Puts the options that `add` adds into one group, and no later ones. */
export function inGroup(
  command: Command,
  group: HelpGroup,
  add: (command: Command) => void,
): Command {
  const before = command.optionsGroup();
  add(command.optionsGroup(headingOf(group)));
  return command.optionsGroup(before);
}

/** Takes the word `all` out of `--help all`, which Commander would read as an argument. */
export function takeHelpAll(
  args: readonly string[],
): { readonly args: readonly string[]; readonly isWhole: boolean } {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const at = args.findIndex((arg, i) =>
    i < end && (arg === "--help" || arg === "-h") && args[i + 1] === "all"
  );
  return at < 0 ? { args, isWhole: false } : { args: args.toSpliced(at + 1, 1), isWhole: true };
}

/** @param isWhole whether every option is shown, whatever the command's short help has */
export function groupHelp(command: Command, isWhole: boolean): void {
  const flags = isWhole ? undefined : shortLists.get(command);
  command.createHelp = () => Object.assign(new GroupedHelp(flags), command.configureHelp());
  if (flags) command.addHelpText("after", () => restOf(command, flags));
}

class GroupedHelp extends Help {
  readonly #flags: ReadonlySet<string> | undefined;

  /** @param flags those that are shown @default all */
  constructor(flags?: ReadonlySet<string>) {
    super();
    this.#flags = flags;
  }

  /** Leaves options out here and not in `visibleOptions()`, which Commander asks for what a mistyped flag may have meant. */
  override formatHelp(command: Command, helper: Help): string {
    const flags = this.#flags;
    const shown = Object.assign(new GroupedHelp(), helper);
    if (flags) {
      shown.visibleOptions = (of) => helper.visibleOptions(of).filter((o) => flags.has(o.long!));
    }
    return super.formatHelp(command, shown);
  }

  override groupItems<T extends Command | Option>(
    items: T[],
    visible: T[],
    getGroup: (item: T) => string,
  ): Map<string, T[]> {
    const groups = [...super.groupItems(items, visible, getGroup)];
    const placeOf = (heading: string) => HEADINGS.indexOf(heading);
    return new Map(groups.sort(([a], [b]) => placeOf(a) - placeOf(b)));
  }
}

/** The line that says what the short help leaves out. */
function restOf(command: Command, flags: ReadonlySet<string>): string {
  const hidden = command.options.filter(({ hidden, long }) => !hidden && !flags.has(long!));
  const headings = hidden.map(({ helpGroupHeading = headingOf("Options") }) => helpGroupHeading);
  const groups = HELP_GROUPS.filter((group) => headings.includes(headingOf(group)));
  const line = `tutti ${command.name()} --help all shows the other ${hidden.length} options: ` +
    groups.join(", ");
  const width = command.configureOutput().getOutHelpWidth?.() ?? DEFAULT_WIDTH;
  return `\n${new Help().boxWrap(line, width)}`;
}
