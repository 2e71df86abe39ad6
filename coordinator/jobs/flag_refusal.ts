/** A refusal of what a user asked for, in the user's words: the flag's, or those of the file that said it. @module */

import { FormatError, TuttiError, UsageError } from "../../shared/errors.ts";
import type { SettingOrigin, SettingOrigins } from "../settings/choose_settings.ts";
import { fileKeyOf, flagOf, type SettingsTable } from "../settings/setting.ts";
import { SETTINGS } from "../settings/settings.ts";

const TABLE: SettingsTable = SETTINGS;

/**
 * The error itself, or one about a setting: if a worker's limits or its model are what the setting is beyond, or if the
 * setting came out of a file.
 *
 * @param origins where settings came from, unless from flags
 */
export function flagRefusal(error: unknown, origins: SettingOrigins = {}): unknown {
  if (!(error instanceof TuttiError) || error.code !== "INVALID_ARGUMENT") return error;
  if (error instanceof UsageError) return fileRefusal(error, origins);
  const { message, details } = error;
  const { field = "" } = details;
  const name = Object.keys(TABLE).find((name) => TABLE[name]!.workerFields?.includes(field));
  if (name === undefined) return error;
  // Rows are what workers count.
  const rows = name === "batch" ? " (rows: two for each image with guidance)" : "";
  const usage = new UsageError(
    `${flagOf(name)} is beyond what a worker takes: ${message}${rows}`,
    { cause: error, details },
  );
  return fileRefusal(usage, origins);
}

/** A refusal of a flag that nobody gave is one of the file that said its value. */
function fileRefusal(error: UsageError, origins: SettingOrigins): TuttiError {
  const blamed = Object.entries(origins).find(([name]) =>
    error.message.startsWith(`${flagOf(name)} `)
  );
  if (!blamed) return withOrigins(error, origins);
  const [name, { file, key }]: [string, SettingOrigin] = blamed;
  const problem = error.message.slice(flagOf(name).length);
  return new FormatError(`${file}: "${key}"${problem}`, {
    cause: error,
    details: { ...error.details, file, key },
  });
}

/** A contradiction, with the files that said what nobody typed. */
function withOrigins(error: UsageError, origins: SettingOrigins): UsageError {
  const words = new Set(error.message.match(/[a-z][a-z_-]*/gi) ?? []);
  const said = Object.entries(origins).filter(([name]) =>
    [name, fileKeyOf(name), flagOf(name).slice(2)].some((word) => words.has(word))
  );
  if (said.length === 0) return error;
  const places = said.map(([, { file, key }]) => `"${key}" of ${file}`).join(" and ");
  return new UsageError(`${error.message} (from ${places})`, {
    cause: error,
    details: error.details,
  });
}
