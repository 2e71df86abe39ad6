/** Settings as data that outlives a run: the fields of a job record, and what a picture says about itself. @module */

import { isDeepStrictEqual } from "node:util";
import type { SettingsTable, SettingValues } from "./setting.ts";

/**
 * Fields of a job record. A setting that came after the first record is left out where its value is its default, so that
 * jobs that do not use it read and write as before.
 */
export function settingsToFields<Table extends SettingsTable>(
  table: Table,
  values: SettingValues<Table>,
): Readonly<Record<string, unknown>> {
  const given: Readonly<Record<string, unknown>> = values;
  const isWritten = (name: string) => {
    const { isAlwaysRecorded = false, default: implied } = table[name]!;
    return given[name] !== undefined &&
      (isAlwaysRecorded || !isDeepStrictEqual(given[name], implied));
  };
  const names = Object.keys(table).filter(isWritten);
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

export interface WrongField {
  readonly field: string;
  readonly expected: string;
  readonly value: unknown;
}

/** @param refuse makes the error for a field that is not what was expected */
export function settingsFromFields<Table extends SettingsTable>(
  table: Table,
  fields: Readonly<Record<string, unknown>>,
  refuse: (wrong: WrongField) => Error,
): SettingValues<Table> {
  const values = Object.entries(table).flatMap(([field, { type, ...row }]) => {
    const value = fields[field];
    if (value === undefined && !row.isAlwaysRecorded) {
      return row.default === undefined ? [] : [[field, row.default]];
    }
    const read = type.read(value);
    if (read === undefined) throw refuse({ field, expected: type.expected, value });
    return [[field, read]];
  });
  return Object.fromEntries(values) as SettingValues<Table>;
}

/**
 * The settings of a picture, from what it says: the inverse of `settingsMetadata()`. What it does not say is left out.
 *
 * @param refuse makes the error for a value that is not what was expected
 */
export function settingsFromMetadata<Table extends SettingsTable>(
  table: Table,
  metadata: Readonly<Record<string, unknown>>,
  refuse: (field: string, expected: string, value: unknown) => Error,
): Partial<SettingValues<Table>> {
  const values = Object.entries(table).flatMap(([name, { type, metadataKey = name }]) => {
    const value = metadataKey === false ? undefined : metadata[metadataKey];
    if (metadataKey === false || value === undefined) return [];
    const read = type.read(value);
    if (read === undefined) throw refuse(metadataKey, type.expected, value);
    return [[name, read]];
  });
  return Object.fromEntries(values) as Partial<SettingValues<Table>>;
}

/** What pictures say of the settings, by the keys that they say it under. */
export function settingsMetadata<Table extends SettingsTable>(
  table: Table,
  values: SettingValues<Table>,
): Readonly<Record<string, unknown>> {
  const given: Readonly<Record<string, unknown>> = values;
  const entries = Object.entries(table).flatMap(([name, { metadataKey = name }]) =>
    metadataKey === false || given[name] === undefined ? [] : [[metadataKey, given[name]]]
  );
  return Object.fromEntries(entries);
}
