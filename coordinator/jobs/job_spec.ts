/**
 * What is to be drawn, as data: all that an image's bits follow from besides the models. One form for `tutti sample`, for
 * checkpoints and for the queue; as JSON it is checked field by field, since anyone may have written it.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { PROMPT_SYNTAXES, type PromptSyntax } from "../../shared/prompt/read_prompt.ts";
import { show } from "../../shared/show.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { NAME, NAME_RULE } from "../cluster/ensemble_file.ts";
import { parseWireDtypes } from "../cluster/tensor_transport.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";
import { findMethod } from "../sampling/methods/methods.ts";
import { parseMethod } from "../sampling/methods/method_text.ts";
import { SIGMA_SCHEDULES, type SigmaSchedule } from "../sampling/samplers/noise_levels.ts";
import { findSampler, SAMPLERS } from "../sampling/samplers/samplers.ts";

export interface JobSpec {
  readonly prompt: string;
  readonly negative: string;
  readonly promptSyntax: PromptSyntax;
  /** As stable-diffusion-webui counts: 1 is the text encoder's last layer. */
  readonly clipSkip: number;
  readonly steps: number;
  readonly guidance: number;
  /** One per image. */
  readonly seeds: readonly bigint[];
  /** In pixels. @default the experts' own */
  readonly size?: { readonly width: number; readonly height: number };
  /** @default 2 if a worker is on another host, else 1 */
  readonly waves?: number;
  /** As `--wire-dtype` takes it. */
  readonly wireDtype: string;
  /** @default what SABW was trained for */
  readonly aggregate?: AggregatedBlocks;
  /** As `createMethod()` takes it. @default "afa" with trained aggregators, else "average" */
  readonly method?: string;
  /** As `createSampler()` takes it. @default "ddim" */
  readonly sampler?: string;
  /** Where the noise levels come from. @default the model's timesteps */
  readonly schedule?: SigmaSchedule;
  /** @default the sampler's own */
  readonly eta?: number;
  /** Name of the ensemble that is to draw. */
  readonly ensemble: string;
}

/** Of the JSON form: counted up when a field changes its meaning, so that an older reader refuses instead of guessing. */
export const JOB_SPEC_VERSION = 1;

/** A prompt longer than this is no prompt: 16 chunks of 75 tokens are the most that a worker takes. */
const MAX_PROMPT_CHARS = 20_000;
/** The training schedules of all families have 1000 steps. */
export const MAX_STEPS = 1000;
export const MAX_IMAGES = 1024, MAX_PIXELS = 16_384, MAX_WAVES = 1024, MAX_CLIP_SKIP = 100;
/** Image pixels to a latent pixel: the VAEs of all families halve three times. */
export const PIXELS_PER_LATENT = 8;

interface FieldRule<T> {
  readonly expected: string;
  /** `undefined` for a value that is not what was expected. */
  read(value: unknown): T | undefined;
  readonly isOptional?: boolean;
}

type Size = NonNullable<JobSpec["size"]>;

/** Every field of the JSON form. */
const RULES: { readonly [K in keyof JobSpec]-?: FieldRule<NonNullable<JobSpec[K]>> } = {
  prompt: text(),
  negative: text(),
  promptSyntax: {
    expected: `one of ${PROMPT_SYNTAXES.join(", ")}`,
    read: (value) => PROMPT_SYNTAXES.find((syntax) => syntax === value),
  },
  clipSkip: whole(1, MAX_CLIP_SKIP),
  steps: whole(1, MAX_STEPS),
  guidance: {
    expected: "a finite number",
    read: (value) => typeof value === "number" && Number.isFinite(value) ? value : undefined,
  },
  seeds: {
    expected: `1 to ${MAX_IMAGES} whole numbers below 2^64, each as a string of digits`,
    read: readSeeds,
  },
  size: {
    expected: `{"width": pixels, "height": pixels}, both multiples of ${PIXELS_PER_LATENT} ` +
      `in ${PIXELS_PER_LATENT}..${MAX_PIXELS}`,
    read: readSize,
    isOptional: true,
  },
  waves: { ...whole(1, MAX_WAVES), isOptional: true },
  wireDtype: {
    expected: "what --wire-dtype takes, such as auto or f16,OUT08=int8",
    read: readWireDtype,
  },
  method: {
    expected: "an ensembling method, such as afa or switch:photo=0,anime=0.5",
    read: (value) => readAs(value, (text) => (findMethod(parseMethod(text).name), text)),
    isOptional: true,
  },
  sampler: {
    expected: `one of ${SAMPLERS.map(({ name }) => name).join(", ")}`,
    read: (value) => readAs(value, (text) => findSampler(text).name),
    isOptional: true,
  },
  schedule: {
    expected: `one of ${SIGMA_SCHEDULES.join(", ")}`,
    read: (value) => SIGMA_SCHEDULES.find((schedule) => schedule === value),
    isOptional: true,
  },
  eta: {
    expected: "a number in 0..1",
    read: (value) => typeof value === "number" && 0 <= value && value <= 1 ? value : undefined,
    isOptional: true,
  },
  aggregate: { expected: "all, noise or a list of block ids", read: readBlocks, isOptional: true },
  ensemble: {
    expected: NAME_RULE,
    read: (value) => typeof value === "string" && NAME.test(value) ? value : undefined,
  },
};

export type JobSpecJson = Readonly<Record<string, unknown>>;

export function jobSpecToJson(spec: JobSpec): JobSpecJson {
  return { version: JOB_SPEC_VERSION, ...spec, seeds: spec.seeds.map(String) };
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
  const known = Object.keys(RULES);
  const unknown = Object.keys(fields).find((key) => !Object.hasOwn(RULES, key));
  if (unknown !== undefined) {
    throw new FormatError(
      `${where}: ${show(unknown)} is no known field${didYouMean(unknown, known)}: ` +
        `known fields are ${known.join(", ")}`,
      { details: { field: unknown.slice(0, 100) } },
    );
  }
  const spec = Object.entries<FieldRule<unknown>>(RULES).flatMap(([name, rule]) => {
    const value = fields[name];
    if (value === undefined && rule.isOptional) return [];
    const read = rule.read(value);
    if (read === undefined) throw wrongField(where, name, rule.expected, value);
    return [[name, read]];
  });
  return Object.fromEntries(spec) as JobSpec;
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

function text(): FieldRule<string> {
  return {
    expected: `a string of at most ${MAX_PROMPT_CHARS} characters`,
    read: (value) =>
      typeof value === "string" && value.length <= MAX_PROMPT_CHARS ? value : undefined,
  };
}

function whole(min: number, max: number): FieldRule<number> {
  return {
    expected: `a whole number in ${min}..${max}`,
    read: (value) => isWhole(value, min, max) ? value : undefined,
  };
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && min <= value && value <= max;
}

function readSeeds(value: unknown): bigint[] | undefined {
  if (!Array.isArray(value) || value.length < 1 || value.length > MAX_IMAGES) return undefined;
  if (!value.every((seed) => typeof seed === "string" && /^\d{1,20}$/.test(seed))) return undefined;
  const seeds = value.map(BigInt);
  return seeds.every((seed) => seed < 2n ** 64n) ? seeds : undefined;
}

function readSize(value: unknown): Size | undefined {
  const { width, height, ...others } = (value ?? {}) as Record<string, unknown>;
  if (!isSide(width) || !isSide(height)) return undefined;
  return Object.keys(others).length === 0 ? { width, height } : undefined;
}

function isSide(value: unknown): value is number {
  return isWhole(value, PIXELS_PER_LATENT, MAX_PIXELS) && value % PIXELS_PER_LATENT === 0;
}

function readAs(value: unknown, read: (text: string) => string): string | undefined {
  try {
    return typeof value === "string" && value.length <= 1000 ? read(value) : undefined;
  } catch {
    return undefined;
  }
}

function readWireDtype(value: unknown): string | undefined {
  try {
    if (typeof value !== "string" || value.length > 1000) return undefined;
    parseWireDtypes(value);
    return value;
  } catch {
    return undefined;
  }
}

function readBlocks(value: unknown): AggregatedBlocks | undefined {
  if (value === "all" || value === "noise") return value;
  const isList = Array.isArray(value) && value.length > 0 && value.length <= 100 &&
    value.every((id) => typeof id === "string" && /^(?:IN|M|OUT)\d\d$/.test(id));
  return isList ? value : undefined;
}
