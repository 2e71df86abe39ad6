/** From what a client says to a job that can be drawn, or to a refusal in the client's own words. @module */

import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { distilledFor } from "../../ensemble/distilled_for.ts";
import { flagRefusal } from "../../jobs/flag_refusal.ts";
import { seedsFrom } from "../../jobs/job_seeds.ts";
import { type InitPicture, ownSize } from "../../jobs/init_picture.ts";
import { type JobSpec, newJob } from "../../jobs/job_spec.ts";
import { prepareJob } from "../../jobs/prepare_job.ts";
import { MAX_PROMPT_CHARS } from "../../settings/limits.ts";
import { pictureSettings } from "../../settings/picture_settings.ts";
import { firstGiven } from "../../settings/presets.ts";
import { flagOf } from "../../settings/setting.ts";
import { type GivenSettings, type SettingName, SETTINGS } from "../../settings/settings.ts";
import { textUpTo } from "../../settings/value_types.ts";
import type { ServedEnsemble } from "./served_ensembles.ts";

/** Of one job: its noise is drawn before it is accepted. */
export const MAX_PICTURES = 64;

/** How a dialect calls a setting. */
export type FieldOf = (setting: SettingName) => string;

/** @throws {UsageError} naming the field, its value and what was expected; `details.field` is the field */
export function readSetting<K extends SettingName>(
  setting: K,
  value: unknown,
  field: string,
): NonNullable<GivenSettings[K]> {
  const { type } = SETTINGS[setting];
  const { expected, read } = ("inFile" in type && type.inFile) || type;
  const found = read(value);
  if (found === undefined) throw wrongField(field, expected, value);
  return found as NonNullable<GivenSettings[K]>;
}

/** @throws {UsageError} as `readSetting()` */
export function readPrompt(value: unknown, field = "prompt"): string {
  const { expected, read } = textUpTo(MAX_PROMPT_CHARS);
  const prompt = read(value);
  if (prompt === undefined) throw wrongField(field, expected, value);
  return prompt;
}

export function wrongField(field: string, expected: string, value: unknown): UsageError {
  const current = value === undefined ? "absent" : show(value);
  return new UsageError(`"${field}" must be ${expected}: current value is ${current}`, {
    details: { field },
  });
}

/**
 * A job of one ensemble, held against what its experts can draw. Settings that are not given are those that `tutti sample`
 * would take.
 *
 * @throws {UsageError} in the words of the dialect, with `details.field` where one field is to blame
 */
export function specOf(
  { ensemble, defaults }: ServedEnsemble,
  { prompt, settings, init }: {
    readonly prompt: string;
    readonly settings: GivenSettings;
    /** Whose size it is where none is given. */
    readonly init?: InitPicture | undefined;
  },
  fieldOf: FieldOf,
): JobSpec {
  const said = firstGiven(settings, init ? { size: ownSize(init) } : {});
  const { settings: chosen, origins } = pictureSettings(said, {
    defaults,
    madeFor: distilledFor(ensemble),
  });
  const { seed, batch } = chosen;
  if (batch > MAX_PICTURES) {
    throw wrongField(fieldOf("batch"), `a whole number in 1..${MAX_PICTURES}`, batch);
  }
  const spec = newJob({ prompt, seeds: seedsFrom(seed, batch), ensemble: ensemble.name }, chosen);
  try {
    prepareJob(ensemble, spec, { init, warn: () => {} });
    return spec;
  } catch (error) {
    throw inWordsOf(flagRefusal(error, origins), fieldOf);
  }
}

/** A refusal that names flags of the command line names the fields that are meant. */
function inWordsOf(error: unknown, fieldOf: FieldOf): unknown {
  if (!(error instanceof TuttiError) || error.code !== "INVALID_ARGUMENT") return error;
  const names = Object.keys(SETTINGS) as SettingName[];
  const blamed = names.find((name) => error.message.startsWith(`${flagOf(name)} `));
  const message = error.message.replaceAll(/--[a-z][a-z-]*/g, (flag) => {
    const name = names.find((each) => flagOf(each) === flag);
    return `"${name === undefined ? flag.slice(2) : fieldOf(name)}"`;
  });
  return new UsageError(message, {
    cause: error,
    details: { ...error.details, ...(blamed && { field: fieldOf(blamed) }) },
  });
}
