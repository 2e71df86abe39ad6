/** What is written into an image's PNG about how it was made. @module */

import type { LoraDescription } from "../../shared/checkpoint/lora/merge_loras.ts";
import { TUTTI_VERSION } from "../../shared/wire/version.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { formatInfotext } from "../image/infotext.ts";
import { findSampler } from "../sampling/samplers/samplers.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";
import { settingsMetadata } from "../settings/setting_records.ts";
import { JOB_SETTINGS } from "../settings/settings.ts";
import { expertNames } from "../ensemble/expert_names.ts";
import { DEFAULT_STRENGTH } from "./init_picture.ts";
import type { JobSpec } from "./job_spec.ts";
import type { RunConditions } from "./prepare_job.ts";

/** What is known of one image of a job. */
export interface ImageFacts {
  readonly spec: JobSpec;
  readonly seed: bigint;
  /** The method's name, chosen by the job or the ensemble's. */
  readonly method: string;
  /** What made one feature map of the experts'. */
  readonly sabw: string;
  /** Chosen by the job, or what SABW was trained for; absent where the experts' noises are combined. */
  readonly aggregatedBlocks?: AggregatedBlocks;
  readonly width: number;
  readonly height: number;
  /** What else its bits follow from. */
  readonly conditions: RunConditions;
}

/** Conditions of a whole run: a picture of a batch is drawn again alone. */
const OF_BATCH: readonly string[] = ["noise", "waves"];

/** Of a LoRA's hash, in infotexts. */
const LORA_DIGITS = 12;
const shortHash = (hash: string) => hash.slice(0, 10);

/**
 * Two text chunks: `parameters`, the infotext that users' tools read, and `tutti`, the whole truth as
 * JSON.
 */
export function imageMetadata(
  ensemble: Ensemble,
  { spec, seed, method, sabw, aggregatedBlocks, width, height, conditions }: ImageFacts,
): Record<string, string> {
  const { members, vaeHash } = ensemble;
  const names = expertNames(members);
  const experts = members.map(({ expert }, i) => ({
    name: names[i]!,
    modelHash: expert.description.modelHash,
    loras: expert.description.loras,
  }));
  const parameters = formatInfotext({
    prompt: spec.prompt,
    negativePrompt: spec.negative,
    steps: spec.steps,
    sampler: findSampler(spec.sampler).label,
    cfgScale: spec.guidance,
    seed,
    width,
    height,
    modelName: `Tutti(${members.length})`,
    modelHash: experts[0]!.modelHash,
    vaeHash,
    clipSkip: spec.clipSkip,
    extra: {
      ...(ignoresEmphasis(spec) && { Emphasis: "None" }),
      ...(conditions.init !== undefined && {
        "Denoising strength": String(spec.strength ?? DEFAULT_STRENGTH),
      }),
      ...loraHashes(experts.flatMap(({ loras }) => loras)),
      RNG: "CPU",
      "Tutti models": experts.map(({ name, modelHash }) => `${name} ${shortHash(modelHash)}`).join(
        ", ",
      ),
      "Tutti method": method,
      "Tutti SABW": sabw,
      "Tutti version": TUTTI_VERSION,
    },
  });
  const own = {
    version: TUTTI_VERSION,
    ensemble: ensemble.name,
    prompt: spec.prompt,
    ...settingsMetadata(JOB_SETTINGS, spec),
    method,
    seed: String(seed),
    ...(aggregatedBlocks !== undefined && { aggregatedBlocks }),
    width,
    height,
    sabw,
    experts,
    vaeHash,
    conditions: Object.fromEntries(
      Object.entries(conditions).filter(([name]) => !OF_BATCH.includes(name)),
    ),
  };
  return { parameters, tutti: JSON.stringify(own) };
}

/** As stable-diffusion-webui writes them, each once, whichever experts have it. */
function loraHashes(loras: readonly LoraDescription[]): Record<string, string> {
  const shown = new Set(loras.map(({ name, hash }) => `${name}: ${hash.slice(0, LORA_DIGITS)}`));
  return shown.size === 0 ? {} : { "Lora hashes": [...shown].join(", ") };
}

/** Whether other tools would read weights where there were none: they must be told. */
function ignoresEmphasis({ promptSyntax, prompt, negative }: JobSpec): boolean {
  return promptSyntax === "plain" && /[([]/.test(prompt + negative);
}
