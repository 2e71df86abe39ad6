/**
 * The user's own `tutti.toml`: the same `[defaults]` as an ensemble file's, for all pictures of this user that neither a flag
 * nor the ensemble file says otherwise of.
 *
 * @module
 */

import { join } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { configFolder } from "../../shared/config_folder.ts";
import { readToml } from "../../shared/toml/read_toml.ts";
import { DEFAULTS_TABLE } from "../settings/choose_settings.ts";
import { type EnsembleDefaults, readDefaults } from "./ensemble_defaults.ts";

const NAME = "tutti.toml";

/** @throws {FormatError} naming file, key, value and what was expected */
export async function userDefaults(
  folder: string | undefined = configFolder(),
): Promise<EnsembleDefaults | undefined> {
  const file = folder && join(folder, NAME);
  if (!file || !await exists(file)) return undefined;
  const fields = await readToml(file, "settings file");
  fields.refuseUnknown([DEFAULTS_TABLE]);
  return readDefaults(fields).defaults;
}
