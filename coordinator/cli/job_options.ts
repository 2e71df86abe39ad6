/** The flags that say what is to be drawn, and how they become a job: one set for `sample` and `submit`. @module */

import type { Command } from "commander";
import { PROMPT_SYNTAXES, type PromptSyntax } from "../../shared/prompt/read_prompt.ts";
import type { WireDtypes } from "../../shared/wire/convert_plane.ts";
import { type JobSpec, MAX_CLIP_SKIP, MAX_IMAGES, MAX_STEPS, MAX_WAVES } from "../jobs/job_spec.ts";
import { SIGMA_SCHEDULES, type SigmaSchedule } from "../sampling/samplers/noise_levels.ts";
import { findSampler } from "../sampling/samplers/samplers.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";
import { blockChoice, finiteNumber, imageSize, oneOf, seed, wholeNumber } from "./flags.ts";
import { wireDtypeOption } from "./transport_flags.ts";

export interface JobFlags {
  readonly aggregate?: AggregatedBlocks;
  readonly method?: string;
  readonly sampler?: string;
  readonly schedule?: SigmaSchedule;
  readonly eta?: number;
  readonly negative: string;
  readonly promptSyntax: PromptSyntax;
  readonly clipSkip: number;
  readonly steps: number;
  readonly guidance: number;
  readonly seed?: bigint;
  readonly size?: { readonly width: number; readonly height: number };
  readonly batch?: number;
  readonly waves?: number;
  readonly wireDtype: Partial<WireDtypes>;
}

export function addJobOptions(command: Command): Command {
  return command
    .option(
      "--aggregate <blocks>",
      "blocks after which the experts' features become one: all, noise (the last one only), or ids as IN04,M00 (default: what SABW was trained for, else all)",
      blockChoice("--aggregate"),
    )
    .option(
      "--method <name>",
      "how the experts play together, with its options as NAME:key=value,key=value: tutti methods lists them (default: afa with trained aggregators, else average)",
    )
    .option("--sampler <name>", "tutti samplers lists them (default: ddim)")
    .option(
      "--schedule <name>",
      `where the noise levels come from: ${
        SIGMA_SCHEDULES.join(", ")
      } (default: the model's timesteps)`,
      oneOf("--schedule", SIGMA_SCHEDULES),
    )
    .option("--eta <share>", "noise that a sampler draws anew in each step", finiteNumber("--eta"))
    .option("--negative <prompt>", "what not to draw", "")
    .option(
      "--prompt-syntax <name>",
      'a1111: (more), [less], (this:1.3), BREAK, prompts of up to 16 chunks of 75 tokens, as in stable-diffusion-webui; "plain": all is text, and what is too long is cut',
      oneOf("--prompt-syntax", PROMPT_SYNTAXES),
      "a1111",
    )
    .option(
      "--clip-skip <n>",
      "text encoder layer to take, counted from the end as in stable-diffusion-webui: 1 is the last, 2 the last but one (clip_skip=1 in diffusers); SDXL always takes the last but one",
      wholeNumber("--clip-skip", 1, MAX_CLIP_SKIP),
      1,
    )
    .option("--steps <n>", "denoising steps", wholeNumber("--steps", 1, MAX_STEPS), 50)
    .option(
      "--guidance <scale>",
      "classifier-free guidance; 1 turns it off",
      finiteNumber("--guidance"),
      7.5,
    )
    .option(
      "--seed <n>",
      "seed of the first image, the next ones count up (default: random)",
      seed("--seed"),
    )
    .option(
      "--size <pixels>",
      "512, or 768x512 as width x height (default: the experts' own)",
      imageSize("--size"),
    )
    .option("--batch <n>", "images (default: 1)", wholeNumber("--batch", 1, MAX_IMAGES))
    .option(
      "--waves <n>",
      "parts of a step that travel on their own, at most one per image and guidance half: while one is on its way, another is computed (default: 2 if a worker is on another host, else 1)",
      wholeNumber("--waves", 1, MAX_WAVES),
    )
    .addOption(wireDtypeOption());
}

export function jobSpec(
  prompt: string,
  flags: JobFlags,
  { ensemble, seeds }: Pick<JobSpec, "ensemble" | "seeds">,
): JobSpec {
  const { negative, promptSyntax, clipSkip, steps, guidance, size, waves, aggregate } = flags;
  const { all = "auto", blocks } = flags.wireDtype;
  const exceptions = [...blocks ?? []].map(([block, dtype]) => `${block}=${dtype}`);
  return {
    ...{ prompt, negative, promptSyntax, clipSkip, steps, guidance, seeds, ensemble },
    ...(size && { size }),
    ...(waves !== undefined && { waves }),
    wireDtype: [all, ...exceptions].join(","),
    ...(aggregate !== undefined && { aggregate }),
    ...(flags.method !== undefined && { method: flags.method }),
    ...(flags.sampler !== undefined && { sampler: findSampler(flags.sampler).name }),
    ...(flags.schedule !== undefined && { schedule: flags.schedule }),
    ...(flags.eta !== undefined && { eta: flags.eta }),
  };
}

/** @param first of the seeds, which count up @default a random one below 2^32, as other tools draw them */
export function seedsFrom(first: bigint | undefined, count: number): bigint[] {
  const from = first ?? BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
  return Array.from({ length: count }, (_, i) => BigInt.asUintN(64, from + BigInt(i)));
}
