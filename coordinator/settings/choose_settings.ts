/** Which value of a setting holds, and where it came from: flag before ensemble file before the user's file before built-in default. @module */

import { fileKeyOf, type SettingsTable, type SettingValues } from "./setting.ts";

/** The `[defaults]` of an ensemble file, or of the user's own. */
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
  { given, files = [], usual = {} }: {
    readonly given: Partial<SettingValues<Table>>;
    /** The first that has a setting says it. */
    readonly files?: readonly FileDefaults<SettingValues<Table>>[];
    /** What holds before the table's defaults. */
    readonly usual?: Partial<SettingValues<Table>>;
  },
): ChosenSettings<SettingValues<Table>> {
  const flags: Readonly<Record<string, unknown>> = given;
  const chosen: Record<string, unknown> = { ...usual, ...definedOf(flags) };
  const origins: Record<string, SettingOrigin> = {};
  for (const name of Object.keys(table)) {
    if (flags[name] !== undefined) continue;
    const said = files.find(({ values }) => valueIn(values, name) !== undefined);
    if (!said) continue;
    chosen[name] = valueIn(said.values, name);
    origins[name] = { file: said.file, key: `${DEFAULTS_TABLE}.${fileKeyOf(name)}` };
  }
  return {
    settings: withDefaults(table, chosen as Partial<SettingValues<Table>>),
    origins,
  };
}

function valueIn(values: Readonly<Record<string, unknown>>, name: string): unknown {
  return values[name];
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
