/**
 * Every setting of a picture. A row is all that a setting needs to be a flag of `tutti sample` and `tutti submit`, a key of
 * the ensemble file's `[defaults]`, a field of job records, and part of what a picture says about itself.
 *
 * @module
 */

import { SIGMA_SCHEDULES } from "../sampling/samplers/sigma_schedules.ts";
import { DEFAULT_SAMPLER, SAMPLERS } from "../sampling/samplers/samplers.ts";
import { PROMPT_SYNTAXES } from "../../shared/prompt/read_prompt.ts";
import { MAX_CLIP_SKIP, MAX_IMAGES, MAX_PROMPT_CHARS, MAX_STEPS, MAX_WAVES } from "./limits.ts";
import {
  blockChoice,
  firstSeed,
  guidanceInterval,
  imageSize,
  method,
  sampler,
  schedule,
  wireDtype,
} from "./picture_values.ts";
import { setting, type SettingValues } from "./setting.ts";
import { finiteNumber, numberIn, oneOf, textUpTo, wholeNumber } from "./value_types.ts";

/** The settings that are fields of a job, under their own names. */
export const JOB_SETTINGS = {
  negative: setting(textUpTo(MAX_PROMPT_CHARS), {
    default: "",
    argument: "<prompt>",
    help: "what not to draw",
    group: "Basics",
    isCommon: true,
    aliases: ["negative-prompt"],
    isAlwaysRecorded: true,
    metadataKey: "negativePrompt",
  }),
  promptSyntax: setting(oneOf(PROMPT_SYNTAXES), {
    default: "a1111",
    argument: "<name>",
    help:
      "a1111: (more), [less], (this:1.3), BREAK, prompts of up to 16 chunks of 75 tokens, as in " +
      'stable-diffusion-webui; "plain": all is text, and what is too long is cut',
    group: "Prompt",
    isAlwaysRecorded: true,
  }),
  /** As stable-diffusion-webui counts: 1 is the text encoder's last layer. */
  clipSkip: setting(wholeNumber(1, MAX_CLIP_SKIP), {
    default: 1,
    argument: "<n>",
    help:
      "text encoder layer to take, counted from the end as in stable-diffusion-webui: 1 is the last, " +
      "2 the last but one (clip_skip=1 in diffusers); SDXL always takes the last but one",
    group: "Prompt",
    isAlwaysRecorded: true,
    workerFields: ["clip_skip"],
  }),
  steps: setting(wholeNumber(1, MAX_STEPS), {
    default: 50,
    argument: "<n>",
    help: "denoising steps",
    group: "Basics",
    isCommon: true,
    aliases: ["num-inference-steps"],
    isAlwaysRecorded: true,
    workerFields: ["timesteps"],
  }),
  guidance: setting(finiteNumber(), {
    default: 7.5,
    argument: "<scale>",
    help: "classifier-free guidance; 1 turns it off",
    group: "Basics",
    isCommon: true,
    aliases: ["cfg", "cfg-scale", "guidance-scale"],
    isAlwaysRecorded: true,
    metadataKey: "guidanceScale",
  }),
  /** In pixels. Pictures tell their width and height. */
  size: setting(imageSize, {
    defaultText: "the experts' own",
    argument: "<pixels>",
    help: "512, or 768x512 as width x height",
    group: "Basics",
    isCommon: true,
    parts: ["width", "height"],
    metadataKey: false,
    workerFields: ["width", "height"],
  }),
  waves: setting(wholeNumber(1, MAX_WAVES), {
    defaultText: "2 if a worker is on another host, else 1",
    argument: "<n>",
    help: "parts of a step that travel on their own, at most one per image and guidance half: " +
      "while one is on its way, another is computed",
    group: "Network",
    metadataKey: false,
  }),
  /** As `parseWireDtypes()` reads it. */
  wireDtype: setting(wireDtype, {
    default: "auto",
    argument: "<dtype>",
    help:
      "what feature maps are on the way: auto (f32 on this host, f16 to others), f32, f16, bf16 or int8, " +
      "with exceptions for blocks as in f16,OUT08=int8",
    group: "Network",
    isAlwaysRecorded: true,
  }),
  /** As `createSampler()` takes it. */
  sampler: setting(sampler, {
    default: DEFAULT_SAMPLER,
    argument: "<name>",
    help: "how noise becomes a picture; tutti samplers lists them",
    group: "Basics",
    isCommon: true,
    aliases: ["scheduler", "sampling-method"],
  }),
  schedule: setting(schedule, {
    defaultText: "the model's timesteps",
    argument: "<name>",
    help: `where the noise levels come from: ${SIGMA_SCHEDULES.join(", ")}`,
    group: "Method",
  }),
  eta: setting(numberIn(0, 1), {
    defaultText: "the sampler's own",
    argument: "<share>",
    help: "noise that a sampler draws anew in each step, as a share of what it could",
    group: "Method",
  }),
  /** S_churn of Karras et al. 2022, Algorithm 2; so are the three after it. */
  churn: setting(numberIn(0, 1000), {
    defaultText: "0",
    argument: "<amount>",
    help: "noise that is added before steps, in all (s_churn), for " +
      SAMPLERS.flatMap(({ name, takesChurn }) => takesChurn ? [name] : []).join(", "),
    group: "Method",
    aliases: ["s-churn"],
  }),
  sTmin: setting(numberIn(0, 1e6), {
    defaultText: "0",
    argument: "<sigma>",
    help: "noise level below which --churn adds nothing",
    group: "Method",
  }),
  sTmax: setting(numberIn(0, 1e6), {
    defaultText: "none",
    argument: "<sigma>",
    help: "noise level above which --churn adds nothing",
    group: "Method",
  }),
  sNoise: setting(numberIn(0, 10), {
    defaultText: "1",
    argument: "<factor>",
    help: "factor on the noise of --churn",
    group: "Method",
  }),
  /** As `rescaleGuidance()` takes it. */
  guidanceRescale: setting(numberIn(0, 1), {
    defaultText: "0",
    argument: "<share>",
    help: "how much of the contrast that guidance adds is taken back; 0.7 for models of zero " +
      "terminal SNR",
    group: "Method",
    aliases: ["cfg-rescale"],
  }),
  guidanceInterval: setting(guidanceInterval, {
    defaultText: "0..1",
    argument: "<from..to>",
    help:
      "part of the steps in which guidance is on, as 0.2..0.8; outside only the prompt decides, " +
      "in half the time",
    group: "Method",
  }),
  strength: setting(numberIn(0, 1), {
    defaultText: "0.75",
    argument: "<share>",
    help: "how much of the picture of --init is drawn anew: the share of the steps that are run",
    group: "Method",
    aliases: ["denoising-strength"],
  }),
  maskBlur: setting(numberIn(0, 64), {
    defaultText: "4",
    argument: "<pixels>",
    help: "how soft the edges of --mask become: the standard deviation of a blur",
    group: "Method",
  }),
  /** As `createMethod()` takes it. Pictures tell the method, chosen or not. */
  method: setting(method, {
    defaultText: "afa with trained aggregators, else average",
    argument: "<name>",
    help: "how the experts play together, with options as NAME:key=value,key=value; " +
      "tutti methods lists them",
    group: "Basics",
    isCommon: true,
    metadataKey: false,
  }),
  /** Pictures tell which blocks were aggregated, chosen or not. */
  aggregate: setting(blockChoice, {
    defaultText: "what SABW was trained for, else all",
    argument: "<blocks>",
    help: "blocks after which the experts' features become one: all, noise (the last one only), " +
      "or ids as IN04,M00",
    group: "Method",
    metadataKey: false,
  }),
};

/** The settings that become a job's `seeds`, one per image. */
const SEED_SETTINGS = {
  seed: setting(firstSeed, {
    default: "random",
    argument: "<n>",
    help: "seed of the first image, the next ones count up; -1 is random",
    group: "Basics",
    isCommon: true,
    metadataKey: false,
  }),
  batch: setting(wholeNumber(1, MAX_IMAGES), {
    default: 1,
    argument: "<n>",
    help: "images",
    group: "Basics",
    isCommon: true,
    aliases: ["batch-size"],
    metadataKey: false,
    workerFields: ["batch"],
  }),
};

export const SETTINGS = { ...JOB_SETTINGS, ...SEED_SETTINGS };

export type JobSettings = SettingValues<typeof JOB_SETTINGS>;
export type Settings = SettingValues<typeof SETTINGS>;
export type SettingName = keyof typeof SETTINGS;
/** What somebody chose of them. */
export type GivenSettings = Partial<Settings>;
