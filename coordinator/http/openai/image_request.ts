/** From the body of `/v1/images/generations`, or the form of `/v1/images/edits`, to what is to be drawn; names that OpenAI does not have are vLLM-Omni's. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import type { InitPicture } from "../../jobs/init_picture.ts";
import type { JobSpec } from "../../jobs/job_spec.ts";
import type { GivenSettings, SettingName } from "../../settings/settings.ts";
import { isWhole } from "../../settings/value_types.ts";
import { readPrompt, readSetting, specOf, wrongField } from "../runtime/job_request.ts";
import type { ServedEnsemble, ServedEnsembles } from "../runtime/served_ensembles.ts";
import type { JsonObject } from "../server/request_body.ts";

export interface ImageRequest {
  readonly served: ServedEnsemble;
  readonly spec: JobSpec;
  /** What an edit starts from. */
  readonly init?: InitPicture | undefined;
  readonly format: "b64_json" | "url";
  /** Undefined where the answer comes in one piece; else how many pictures on the way are wanted. */
  readonly partialImages: number | undefined;
  /** Whom the request is for, if it says so. */
  readonly user: unknown;
}

const MAX_PICTURES = 10, MAX_PARTIAL = 3;
/** Clients have lists of these; whoever names one has not chosen among what is here. */
const OPENAI_MODEL = /^(?:dall-e-|gpt-image-|chatgpt-image)/;
const FIELDS: Partial<Record<SettingName, string>> = {
  negative: "negative_prompt",
  steps: "num_inference_steps",
  guidance: "guidance_scale",
  batch: "n",
};

/** @throws {TuttiError} naming the field, in `details.field`, too */
export function readImageRequest(
  body: JsonObject,
  ensembles: ServedEnsembles,
  init?: InitPicture,
): ImageRequest {
  const served = findModel(body.model ?? undefined, ensembles);
  const prompt = readPrompt(body.prompt);
  const fixed = { output_format: ["png"], background: ["auto", "opaque"] };
  for (const [field, values] of Object.entries(fixed)) {
    oneOf(field, body[field] ?? values[0], values);
  }
  const format = oneOf("response_format", body.response_format ?? "b64_json", FORMATS);
  const isStream = oneOf("stream", body.stream ?? false, [true, false]);
  const partial = body.partial_images ?? 0;
  if (!isWhole(partial, 0, MAX_PARTIAL)) {
    throw wrongField("partial_images", `a whole number in 0..${MAX_PARTIAL}`, partial);
  }
  const n = body.n ?? 1;
  if (!isWhole(n, 1, MAX_PICTURES)) {
    throw wrongField("n", `a whole number in 1..${MAX_PICTURES}`, n);
  }
  if (!init && (body.strength ?? undefined) !== undefined) {
    throw wrongField("strength", "left out, or given to /v1/images/edits", body.strength);
  }
  const settings = { ...readSettings(body), batch: n };
  return {
    ...{ served, format, init, partialImages: isStream ? partial : undefined, user: body.user },
    spec: specOf(served, { prompt, settings, init }, (setting) => FIELDS[setting] ?? setting),
  };
}

const FORMATS = ["b64_json", "url"] as const;

function oneOf<T>(field: string, value: unknown, values: readonly T[]): T {
  const found = values.find((each) => each === value);
  if (found === undefined) throw wrongField(field, `one of ${values.join(", ")}`, value);
  return found;
}

function readSettings(body: JsonObject): GivenSettings {
  const { negative_prompt, num_inference_steps, guidance_scale, true_cfg_scale, seed, size } = body;
  const { strength } = body;
  const guidance = guidance_scale ?? true_cfg_scale;
  if (true_cfg_scale !== undefined && true_cfg_scale !== null && true_cfg_scale !== guidance) {
    throw wrongField("true_cfg_scale", "as guidance_scale, which is the same here", true_cfg_scale);
  }
  const isSized = (size ?? "auto") !== "auto";
  if (isSized && !(typeof size === "string" && size.includes("x"))) {
    throw wrongField("size", 'auto, or width and height as "512x768"', size);
  }
  const given = {
    negative: [negative_prompt, "negative_prompt"],
    steps: [num_inference_steps, "num_inference_steps"],
    guidance: [guidance, guidance_scale === guidance ? "guidance_scale" : "true_cfg_scale"],
    seed: [seed, "seed"],
    strength: [strength, "strength"],
    size: [isSized ? size : undefined, "size"],
  } as const;
  return Object.fromEntries(
    Object.entries(given).filter(([, [value]]) => (value ?? undefined) !== undefined)
      .map(([name, [value, field]]) => [name, readSetting(name as SettingName, value, field)]),
  );
}

/** @throws {TuttiError} NOT_FOUND if it is neither an ensemble nor one of OpenAI's */
export function findModel(name: unknown, ensembles: ServedEnsembles): ServedEnsemble {
  if (name === undefined || name === "") return ensembles.first;
  if (typeof name !== "string") throw wrongField("model", "the name of an ensemble", name);
  const found = ensembles.find(name);
  if (found) return found;
  if (OPENAI_MODEL.test(name)) return ensembles.first;
  const names = ensembles.all.map(({ ensemble }) => ensemble.name);
  throw new TuttiError(
    "NOT_FOUND",
    `The model ${show(name)} does not exist: there are ${names.join(", ")}`,
    { details: { field: "model" } },
  );
}
