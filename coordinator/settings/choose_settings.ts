/** Which value of a setting holds, and where it came from: flag before ensemble file before built-in default. @module */

import { fileKeyOf, type SettingsTable, type SettingValues } from "./setting.ts";

/** The `[defaults]` of an ensemble file. */
export interface FileDefaults<Values> {
  /** The file's path. */
  readonly file: string;
  readonly values: Partial<Values>;
}

/** Where in a file a value stands. */
export interface SettingOrigin {
  readonly file: string;
  /** Its path in the file: `defaults.clip_skip`. */
  readonly key: string;
}

/** By name, the settings that came out of a file. */
export type SettingOrigins = Readonly<Record<string, SettingOrigin>>;

export interface ChosenSettings<Values> {
  readonly settings: Values;
  readonly origins: SettingOrigins;
}

/** The table under which a file's defaults stand. */
export const DEFAULTS_TABLE = "defaults";

export function chooseSettings<Table extends SettingsTable>(
  table: Table,
  { given, defaults }: {
    readonly given: Partial<SettingValues<Table>>;
    readonly defaults?: FileDefaults<SettingValues<Table>> | undefined;
  },
): ChosenSettings<SettingValues<Table>> {
  const flags: Readonly<Record<string, unknown>> = given;
  const file: Readonly<Record<string, unknown>> = defaults?.values ?? {};
  const names = Object.keys(table);
  const fromFile = names.filter((name) => flags[name] === undefined && file[name] !== undefined);
  const origins = fromFile.map((name) => [
    name,
    { file: defaults!.file, key: `${DEFAULTS_TABLE}.${fileKeyOf(name)}` },
  ]);
  const chosen = { ...file, ...definedOf(flags) };
  return {
    settings: withDefaults(table, chosen as Partial<SettingValues<Table>>),
    origins: Object.fromEntries(origins),
  };
}

/** The values of the table's settings, with its defaults where there is none. */
export function withDefaults<Table extends SettingsTable>(
  table: Table,
  given: Partial<SettingValues<Table>>,
): SettingValues<Table> {
  const values: Readonly<Record<string, unknown>> = given;
  const filled = Object.entries(table).map(([name, row]) => [name, values[name] ?? row.default]);
  return definedOf(Object.fromEntries(filled)) as SettingValues<Table>;
}

function definedOf(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
