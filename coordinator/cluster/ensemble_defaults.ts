/**
 * The `[defaults]` table of an ensemble file: settings of pictures that hold where a command draws with this file and has no
 * flag that says otherwise. Keys are the settings' names, spelled as `clip_skip`; lists and sizes have TOML's forms.
 *
 * @example
 * ```toml
 * [defaults]
 * steps = 30
 * guidance = 5
 * clip_skip = 2
 * size = "768x512"            # or 512
 * negative = "blurry, text"
 * aggregate = ["IN04", "M00"] # or "all", "noise"
 * ```
 *
 * @module
 */

import { DEFAULTS_TABLE, type FileDefaults } from "../settings/choose_settings.ts";
import { fileKeyOf, type SettingsTable, type SettingValues } from "../settings/setting.ts";
import { SETTINGS, type Settings } from "../settings/settings.ts";
import type { TomlFields } from "../../shared/toml/toml_fields.ts";

export type EnsembleDefaults = FileDefaults<Settings>;

/** @throws {FormatError} naming file, key, value and what was expected */
export function readDefaults(fields: TomlFields): { readonly defaults?: EnsembleDefaults } {
  const table = fields.child(DEFAULTS_TABLE);
  return table ? { defaults: { file: fields.file, values: readSettings(SETTINGS, table) } } : {};
}

/** The settings that a TOML table has. */
export function readSettings<Table extends SettingsTable>(
  table: Table,
  fields: TomlFields,
): Partial<SettingValues<Table>> {
  const rows = Object.entries(table).map(([name, { type }]) => ({
    name,
    key: fileKeyOf(name),
    form: type.inFile ?? type,
  }));
  fields.refuseUnknown(rows.map(({ key }) => key));
  const values = rows.filter(({ key }) => fields.has(key)).map(({ name, key, form }) => [
    name,
    fields.value(key, form.expected, form.read),
  ]);
  return Object.fromEntries(values) as Partial<SettingValues<Table>>;
}
