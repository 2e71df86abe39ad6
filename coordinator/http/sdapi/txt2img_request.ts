/** From the body of `/sdapi/v1/txt2img` or `img2img` to what is to be drawn. @module */

import { firstGiven } from "../../settings/presets.ts";
import type { GivenSettings, SettingName } from "../../settings/settings.ts";
import { isWhole } from "../../settings/value_types.ts";
import {
  type FieldOf,
  readPrompt,
  readSetting,
  specOf,
  wrongField,
} from "../runtime/job_request.ts";
import type { ServedEnsemble } from "../runtime/served_ensembles.ts";
import { DEFAULT_STRENGTH, type InitPicture } from "../../jobs/init_picture.ts";
import type { JobSpec } from "../../jobs/job_spec.ts";
import type { JsonObject } from "../server/request_body.ts";
import { refuseFeatures, refuseSyntax } from "./refused_features.ts";
import { readSampler } from "./webui_sampler.ts";
import type { WebuiOptions } from "./webui_options.ts";

export interface Txt2ImgRequest {
  readonly served: ServedEnsemble;
  /** One for each iteration; seeds count up over all. */
  readonly specs: readonly JobSpec[];
  /** What they start from. */
  readonly init?: InitPicture | undefined;
  /** Whether the answer has the pictures. */
  readonly sendsImages: boolean;
  /** The request with its defaults, for the answer. */
  readonly parameters: JsonObject;
}

/** The webui's, where neither request nor ensemble file says. A size is the experts' own: 512 for SD1.5, as there. */
const DEFAULTS = { sampler: "euler", steps: 50, guidance: 7 } as const;

const FIELDS: Partial<Record<SettingName, string>> = {
  negative: "negative_prompt",
  steps: "steps",
  guidance: "cfg_scale",
  seed: "seed",
  batch: "batch_size",
  eta: "eta",
  churn: "s_churn",
  sTmin: "s_tmin",
  sTmax: "s_tmax",
  sNoise: "s_noise",
  clipSkip: "CLIP_stop_at_last_layers",
  sampler: "sampler_name",
  schedule: "scheduler",
  size: "width",
  strength: "denoising_strength",
  maskBlur: "mask_blur",
};
const fieldOf: FieldOf = (setting) => FIELDS[setting] ?? setting;

const MAX_ITERATIONS = 100;
const ECHOED = { styles: [], override_settings: {}, script_args: [], alwayson_scripts: {} };

/** @throws {TuttiError} in the webui's words */
export function readTxt2Img(
  body: JsonObject,
  owner: string,
  options: WebuiOptions,
  init?: InitPicture,
): Txt2ImgRequest {
  refuseFeatures(body);
  const { served, clipSkip } = options.with(owner, readOverrides(body.override_settings));
  const prompt = readPrompt(body.prompt ?? "");
  const negative = readSetting("negative", body.negative_prompt ?? "", "negative_prompt");
  refuseSyntax("prompt", prompt);
  refuseSyntax("negative_prompt", negative);
  const iterations = body.n_iter ?? 1;
  if (!isWhole(iterations, 1, MAX_ITERATIONS)) {
    throw wrongField("n_iter", `a whole number in 1..${MAX_ITERATIONS}`, iterations);
  }
  const said: GivenSettings = {
    ...{ negative, ...readSampler(body), ...readSize(body, served), ...readNumbers(body) },
    ...(clipSkip !== undefined && { clipSkip }),
    ...readMethod(body.override_settings),
    ...(init && readStart(body, init)),
  };
  const settings = firstGiven(said, served.defaults?.values ?? {}, DEFAULTS);
  const first = specOf(served, { prompt, settings, init }, fieldOf);
  const batch = first.seeds.length;
  const specs = Array.from({ length: iterations }, (_, i): JobSpec => ({
    ...first,
    seeds: first.seeds.map((seed) => BigInt.asUintN(64, seed + BigInt(i * batch))),
  }));
  return {
    ...{ served, specs, init },
    sendsImages: body.send_images !== false,
    parameters: { ...ECHOED, ...body, ...echo(first, iterations) },
  };
}

/** The fields whose values go over as they are; what asks for nothing is left out. */
function readNumbers(body: JsonObject): GivenSettings {
  const names = ["steps", "guidance", "batch", "eta", "churn", "sTmin", "sTmax", "sNoise"] as const;
  const given = names.flatMap((name) => {
    const field = FIELDS[name]!;
    const value = body[field] ?? undefined;
    return value === undefined ? [] : [[name, readSetting(name, value, field)] as const];
  });
  const { churn = 0, sTmin, sTmax, sNoise, ...others } = Object.fromEntries(given);
  return {
    ...others,
    // Clients send all four though they add no noise; an end of 0 means none there.
    ...(churn !== 0 && {
      ...{ churn },
      ...(sTmin !== undefined && { sTmin }),
      ...(sTmax !== undefined && sTmax !== 0 && { sTmax }),
      ...(sNoise !== undefined && { sNoise }),
    }),
    seed: readSeed(body.seed),
  };
}

/** What is about the picture that it starts from. */
function readStart(body: JsonObject, { mask }: InitPicture): GivenSettings {
  const strength = body.denoising_strength ?? DEFAULT_STRENGTH;
  const blur = body.mask_blur ?? undefined;
  return {
    strength: readSetting("strength", strength, "denoising_strength"),
    ...(mask && blur !== undefined && { maskBlur: readSetting("maskBlur", blur, "mask_blur") }),
  };
}

/** -1, nothing and an empty text are random. */
function readSeed(value: unknown) {
  return value === undefined || value === null || value === "" || value === -1 || value === "-1"
    ? "random"
    : readSetting("seed", value, "seed");
}

/** Where one side is missing it is the experts' own. */
function readSize(body: JsonObject, { ensemble }: ServedEnsemble): GivenSettings {
  const { width, height } = body;
  if ((width ?? height ?? undefined) === undefined) return {};
  const { vae: { factor }, experts } = ensemble;
  const own = experts[0]!.description.sampleSize * factor;
  for (const [field, side] of Object.entries({ width, height })) {
    if (side !== undefined && side !== null) {
      readSetting("size", { width: side, height: side }, field);
    }
  }
  return { size: readSetting("size", { width: width ?? own, height: height ?? own }, "width") };
}

function readOverrides(value: unknown): JsonObject {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as JsonObject;
  throw wrongField("override_settings", "an object", value);
}

/** Tutti's own: `override_settings.tutti_method`. */
function readMethod(overrides: unknown): GivenSettings {
  const { tutti_method: method } = readOverrides(overrides);
  return method === undefined ? {} : { method: readSetting("method", method, "tutti_method") };
}

function echo({ prompt, negative, steps, guidance, seeds, size }: JobSpec, iterations: number) {
  return {
    ...{ prompt, negative_prompt: negative, steps, cfg_scale: guidance, seed: Number(seeds[0]) },
    ...{ batch_size: seeds.length, n_iter: iterations },
    ...(size && { width: size.width, height: size.height }),
  };
}
