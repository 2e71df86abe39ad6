/**
 * What is to be drawn, as data: all that an image's bits follow from besides the models. One form for `tutti sample`, for
 * checkpoints and for the queue; as JSON it is checked field by field, since anyone may have written it.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { NAME, NAME_RULE } from "../cluster/ensemble_file.ts";
import { withDefaults } from "../settings/choose_settings.ts";
import { MAX_IMAGES, MAX_PROMPT_CHARS } from "../settings/limits.ts";
import { seed } from "../settings/picture_values.ts";
import { settingsFromFields, settingsToFields } from "../settings/setting_records.ts";
import { JOB_SETTINGS, type JobSettings } from "../settings/settings.ts";
import type { ValueType } from "../settings/value_type.ts";
import { textUpTo } from "../settings/value_types.ts";

/** What no setting says. */
interface JobSubject {
  readonly prompt: string;
  /** One per image. */
  readonly seeds: readonly bigint[];
  /** Name of the ensemble that is to draw. */
  readonly ensemble: string;
}

export interface JobSpec extends JobSubject, JobSettings {}

/** Of the JSON form: counted up when a field changes its meaning, so that an older reader refuses instead of guessing. */
export const JOB_SPEC_VERSION = 1;

/** The fields of the JSON form besides the settings. */
const SUBJECT: {
  readonly [K in keyof JobSubject]: Pick<ValueType<JobSubject[K]>, "expected" | "read">;
} = {
  prompt: textUpTo(MAX_PROMPT_CHARS),
  seeds: {
    expected: `1 to ${MAX_IMAGES} whole numbers below 2^64, each as a string of digits`,
    read: readSeeds,
  },
  ensemble: {
    expected: NAME_RULE,
    read: (value) => typeof value === "string" && NAME.test(value) ? value : undefined,
  },
};

export type JobSpecJson = Readonly<Record<string, unknown>>;

/** A job with the built-in default of every setting that is not given. */
export function newJob(
  { prompt, seeds, ensemble }: JobSubject,
  settings: Partial<JobSettings> = {},
): JobSpec {
  return { prompt, ...withDefaults(JOB_SETTINGS, settings), seeds, ensemble };
}

export function jobSpecToJson(spec: JobSpec): JobSpecJson {
  const { prompt, seeds, ensemble } = spec;
  return {
    version: JOB_SPEC_VERSION,
    prompt,
    ...settingsToFields(JOB_SETTINGS, spec),
    seeds: seeds.map(String),
    ensemble,
  };
}

/** All that a job says, defaults too, for comparing one with another. */
export function jobFields(spec: JobSpec): JobSpecJson {
  return { ...spec, seeds: spec.seeds.map(String) };
}

/**
 * @param where what it is part of, for errors: `Job "a1"`
 * @throws {FormatError} naming the field, its value and what was expected
 */
export function jobSpecFromJson(json: unknown, where: string): JobSpec {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new FormatError(`${where} must be a JSON object: current value is ${show(json)}`);
  }
  const { version, ...fields } = json as Record<string, unknown>;
  if (version !== JOB_SPEC_VERSION) {
    throw wrongField(where, "version", String(JOB_SPEC_VERSION), version);
  }
  refuseUnknown(fields, where);
  const readSubject = <K extends keyof JobSubject>(field: K): JobSubject[K] => {
    const { expected, read } = SUBJECT[field];
    const value = read(fields[field]);
    if (value === undefined) throw wrongField(where, field, expected, fields[field]);
    return value;
  };
  return {
    prompt: readSubject("prompt"),
    ...settingsFromFields(
      JOB_SETTINGS,
      fields,
      ({ field, expected, value }) => wrongField(where, field, expected, value),
    ),
    seeds: readSubject("seeds"),
    ensemble: readSubject("ensemble"),
  };
}

function refuseUnknown(fields: JobSpecJson, where: string): void {
  const known = [...Object.keys(SUBJECT), ...Object.keys(JOB_SETTINGS)];
  const unknown = Object.keys(fields).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new FormatError(
    `${where}: ${show(unknown)} is no known field${didYouMean(unknown, known)}: ` +
      `known fields are ${known.join(", ")}`,
    { details: { field: unknown.slice(0, 100) } },
  );
}

function wrongField(where: string, field: string, expected: string, value: unknown): FormatError {
  const current = value === undefined ? "absent" : showFields(value);
  return new FormatError(`${where}: "${field}" must be ${expected}: current value is ${current}`, {
    details: { field },
  });
}

/** An object with its fields, which are what is wrong with it. */
function showFields(value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return show(value);
  const fields = Object.entries(value);
  const shown = fields.slice(0, 4).map(([key, field]) => `${show(key)}: ${show(field)}`);
  return `{${shown.join(", ")}${fields.length > shown.length ? ", …" : ""}}`;
}

/** Strings only: what wrote them as numbers may have lost digits. */
function readSeeds(value: unknown): bigint[] | undefined {
  if (!Array.isArray(value) || value.length < 1 || value.length > MAX_IMAGES) return undefined;
  const seeds = value.map((text) => typeof text === "string" ? seed.read(text) : undefined);
  return seeds.every((read) => read !== undefined) ? seeds : undefined;
}
