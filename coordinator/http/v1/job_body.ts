/** The body of `POST /api/v1/jobs`: every setting under its name in snake case. @module */

import { UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import type { InitPicture } from "../../jobs/init_picture.ts";
import { firstGiven, PRESET_NAMES, PRESETS } from "../../settings/presets.ts";
import { fileKeyOf } from "../../settings/setting.ts";
import { type GivenSettings, type SettingName, SETTINGS } from "../../settings/settings.ts";
import { readPrompt, readSetting, specOf, wrongField } from "../runtime/job_request.ts";
import type { NewJob } from "../runtime/job_runtime.ts";
import { readPictureField } from "../runtime/picture_field.ts";
import type { ServedEnsemble, ServedEnsembles } from "../runtime/served_ensembles.ts";
import type { JsonObject } from "../server/request_body.ts";

const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];
const JOB_FIELDS: readonly string[] = [
  "prompt",
  "ensemble",
  "preset",
  "init",
  "mask",
  ...SETTING_NAMES.map(fileKeyOf),
];

/** @throws {TuttiError} naming the field, in `details.field`, too */
export async function readJobBody(
  body: JsonObject,
  ensembles: ServedEnsembles,
): Promise<Pick<NewJob, "spec" | "init">> {
  refuseUnknown(body);
  const served = chosenEnsemble(body, ensembles);
  const settings = firstGiven(readSettings(body), readPreset(body.preset ?? undefined));
  const init = await readInit(body);
  const prompt = readPrompt(body.prompt);
  return { spec: specOf(served, { prompt, settings, init }, fileKeyOf), init };
}

async function readInit({ init, mask }: JsonObject): Promise<InitPicture | undefined> {
  const [hasInit, hasMask] = [init, mask].map((value) => (value ?? undefined) !== undefined);
  if (hasMask && !hasInit) throw wrongField("mask", "left out, or given with an init", "a picture");
  if (!hasInit) return undefined;
  const image = await readPictureField(init, "init");
  return { image, ...(hasMask && { mask: await readPictureField(mask, "mask") }) };
}

/** @throws {TuttiError} naming the field, as `readJobBody()` */
export function chosenEnsemble(body: JsonObject, ensembles: ServedEnsembles): ServedEnsemble {
  const name = body.ensemble ?? undefined;
  if (name === undefined) return ensembles.first;
  if (typeof name !== "string") throw wrongField("ensemble", "the name of an ensemble", name);
  return ensembles.get(name);
}

function readSettings(body: JsonObject): GivenSettings {
  const given = SETTING_NAMES.map((name) => [name, fileKeyOf(name)] as const)
    .filter(([, field]) => (body[field] ?? undefined) !== undefined);
  return Object.fromEntries(
    given.map(([name, field]) => [name, readSetting(name, body[field], field)]),
  );
}

function readPreset(value: unknown): GivenSettings {
  if (value === undefined) return {};
  const name = PRESET_NAMES.find((each) => each === value);
  if (name === undefined) throw wrongField("preset", `one of ${PRESET_NAMES.join(", ")}`, value);
  return PRESETS[name].settings;
}

function refuseUnknown(body: JsonObject): void {
  const unknown = Object.keys(body).find((field) => !JOB_FIELDS.includes(field));
  if (unknown === undefined) return;
  throw new UsageError(
    `${show(unknown)} is no known field${didYouMean(unknown, JOB_FIELDS)}: known fields are ${
      JOB_FIELDS.join(", ")
    }`,
    { details: { field: unknown.slice(0, 100) } },
  );
}
