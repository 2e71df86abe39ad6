/** What is written into an image's PNG about how it was made. @module */

import type { LoraDescription } from "../../shared/checkpoint/lora/merge_loras.ts";
import type { PromptSyntax } from "../../shared/prompt/read_prompt.ts";
import { TUTTI_VERSION } from "../../shared/wire/version.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { formatInfotext } from "../image/infotext.ts";
import { findSampler } from "../sampling/samplers/samplers.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";

export interface ImageFacts {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly promptSyntax: PromptSyntax;
  readonly clipSkip: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly seed: bigint;
  /** As the user wrote it, or its name. */
  readonly method: string;
  readonly sampler: string;
  /** What made one feature map of the experts'. */
  readonly sabw: string;
  readonly aggregatedBlocks?: AggregatedBlocks;
  readonly width: number;
  readonly height: number;
}

/** Of a LoRA's hash, in infotexts. */
const LORA_DIGITS = 12;
const shortHash = (hash: string) => hash.slice(0, 10);

/**
 * Two text chunks: `parameters`, the infotext that users' tools read, and `tutti`, the whole truth as
 * JSON.
 */
export function imageMetadata(ensemble: Ensemble, facts: ImageFacts): Record<string, string> {
  const { members, vaeHash } = ensemble;
  const experts = members.map(({ name, expert }) => ({
    name,
    modelHash: expert.description.modelHash,
    loras: expert.description.loras,
  }));
  const parameters = formatInfotext({
    prompt: facts.prompt,
    negativePrompt: facts.negativePrompt,
    steps: facts.steps,
    sampler: findSampler(facts.sampler).label,
    cfgScale: facts.guidanceScale,
    seed: facts.seed,
    width: facts.width,
    height: facts.height,
    modelName: `Tutti(${members.length})`,
    modelHash: experts[0]!.modelHash,
    vaeHash,
    clipSkip: facts.clipSkip,
    extra: {
      ...(ignoresEmphasis(facts) && { Emphasis: "None" }),
      ...loraHashes(experts.flatMap(({ loras }) => loras)),
      RNG: "CPU",
      "Tutti models": experts.map(({ name, modelHash }) => `${name} ${shortHash(modelHash)}`).join(
        ", ",
      ),
      "Tutti method": facts.method,
      "Tutti SABW": facts.sabw,
      "Tutti version": TUTTI_VERSION,
    },
  });
  const own = {
    version: TUTTI_VERSION,
    ensemble: ensemble.name,
    ...facts,
    seed: String(facts.seed),
    experts,
    vaeHash,
  };
  return { parameters, tutti: JSON.stringify(own) };
}

/** As stable-diffusion-webui writes them, each once, whichever experts have it. */
function loraHashes(loras: readonly LoraDescription[]): Record<string, string> {
  const shown = new Set(loras.map(({ name, hash }) => `${name}: ${hash.slice(0, LORA_DIGITS)}`));
  return shown.size === 0 ? {} : { "Lora hashes": [...shown].join(", ") };
}

/** Whether other tools would read weights where there were none: they must be told. */
function ignoresEmphasis({ promptSyntax, prompt, negativePrompt }: ImageFacts): boolean {
  return promptSyntax === "plain" && /[([]/.test(prompt + negativePrompt);
}
