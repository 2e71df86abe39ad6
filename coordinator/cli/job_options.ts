/** The flags that say what is to be drawn: one for each row of the table of settings, the same in `sample` and `submit`. @module */

import { type Command, Option } from "commander";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../shared/errors.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { flagOf, type Setting, type SettingsTable } from "../settings/setting.ts";
import { type GivenSettings, SETTINGS } from "../settings/settings.ts";
import {
  firstGiven,
  PRESET_NAMES,
  type PresetName,
  PRESETS,
  USUAL_PRESET,
} from "../settings/presets.ts";
import { flagParser, oneOf } from "./flags.ts";

export { seedsFrom } from "../jobs/job_seeds.ts";

/** As given: what is not is looked for in the ensemble file, then in the table. */
export interface JobFlags extends GivenSettings {
  readonly preset?: PresetName;
}

export function addJobOptions(command: Command, table: SettingsTable = SETTINGS): Command {
  for (const [name, row] of Object.entries(table)) {
    command.addOption(settingOption(name, row));
    hiddenOptions(row).forEach((option) => command.addOption(option));
  }
  command.addOption(presetOption());
  return command.hook("preAction", (_, action) => {
    for (const [name, row] of Object.entries(table)) mergeSpellings(action, name, row);
  });
}

function presetOption(): Option {
  const presets = PRESET_NAMES.map((name) => `${name} (${PRESETS[name].summary})`).join(", ");
  const text =
    `settings that go together: ${presets}; flags win over them (default: ${USUAL_PRESET}, unless ` +
    "--sampler, --schedule, --eta or the ensemble file's [defaults] say otherwise; tutti.toml may, too)";
  return new Option("--preset <name>", text)
    .argParser(oneOf("--preset", PRESET_NAMES))
    .helpGroup(headingOf("Basics"));
}

/** What flags say: their own words, then those of a preset. */
export function givenSettings({ preset, ...flags }: JobFlags): GivenSettings {
  const own = Object.keys(SETTINGS).map((name) => [name, flags[name as keyof GivenSettings]]);
  return firstGiven(Object.fromEntries(own), preset === undefined ? {} : PRESETS[preset].settings);
}

/** The flags of the settings that the short help has. */
export function commonFlags(table: SettingsTable = SETTINGS): string[] {
  const common = Object.entries(table).filter(([, { isCommon }]) => isCommon);
  return common.map(([name]) => flagOf(name));
}

function settingOption(
  name: string,
  { type, argument, help, group, ...row }: Setting<unknown>,
): Option {
  // Told, not set: a flag that was not given must stay without a value, for the ensemble file to say it.
  const { defaultText = String(row.default ?? "") } = { ...row, ...usualText(name, row.default) };
  const text = defaultText === "" ? help : `${help} (default: ${defaultText})`;
  return new Option(`${flagOf(name)} ${argument}`, text)
    .argParser(flagParser(flagOf(name), type))
    .helpGroup(headingOf(group));
}

/** Of what the usual preset says. */
function usualText(name: string, otherwise: unknown): { readonly defaultText?: string } {
  const usual: GivenSettings = PRESETS[USUAL_PRESET].settings;
  const value = usual[name as keyof GivenSettings];
  if (value === undefined) return {};
  return { defaultText: name === "sampler" ? `${value}` : `${value}; with --sampler ${otherwise}` };
}

/** Other spellings. An alias has the row's values; of parts the texts are kept until they are joined. */
function hiddenOptions({ type, argument, aliases = [], parts = [] }: Setting<unknown>): Option[] {
  return [
    ...aliases.map((alias) =>
      new Option(`--${alias} ${argument}`).argParser(flagParser(`--${alias}`, type))
    ),
    ...parts.map((part) => new Option(`--${part} ${argument}`)),
  ].map((option) => option.hideHelp());
}

/**
 * Puts what was given under another spelling under the setting's name.
 *
 * @throws {UsageError} if two spellings were given with different values
 */
function mergeSpellings(command: Command, name: string, row: Setting<unknown>): void {
  const { aliases = [] } = row;
  const spellings = [flagOf(name), ...aliases.map((alias) => `--${alias}`)].map((flag) => ({
    flag,
    value: command.getOptionValue(attributeOf(flag)) as unknown,
  }));
  const joined = joinParts(command, name, row);
  const given = [...spellings, ...joined].filter(({ value }) => value !== undefined);
  const [first] = given;
  if (first === undefined) return;
  const other = given.find(({ value }) => !isDeepStrictEqual(value, first.value));
  if (other !== undefined) {
    throw new UsageError(
      `${first.flag} and ${other.flag} are the same setting with different values: give one of them`,
    );
  }
  command.setOptionValueWithSource(name, first.value, "cli");
}

/** The value that flags for its parts give together. */
function joinParts(command: Command, name: string, { type, parts = [] }: Setting<unknown>) {
  const texts = parts.map((part) => command.getOptionValue(attributeOf(`--${part}`)) as unknown);
  if (texts.every((text) => text === undefined)) return [];
  const flags = parts.map((part) => `--${part}`).join(" and ");
  if (texts.includes(undefined)) {
    throw new UsageError(`${flags} need each other; ${flagOf(name)} gives both`);
  }
  return [{ flag: flags, value: flagParser(flags, type)(texts.join("x")) }];
}

/** Where Commander keeps the value of a flag. */
function attributeOf(flag: string): string {
  return new Option(flag).attributeName();
}
