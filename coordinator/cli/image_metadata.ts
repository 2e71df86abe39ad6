/** What is written into an image's PNG about how it was made. @module */

import { TUTTI_VERSION } from "../../shared/wire/version.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { formatInfotext } from "../image/infotext.ts";

export interface ImageFacts {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly seed: bigint;
  readonly width: number;
  readonly height: number;
}

const shortHash = (hash: string) => hash.slice(0, 10);

/**
 * Two text chunks: `parameters`, the infotext that users' tools read, and `tutti`, the whole truth as
 * JSON.
 */
export function imageMetadata(ensemble: Ensemble, facts: ImageFacts): Record<string, string> {
  const { members, aggregator, vaeHash } = ensemble;
  const experts = members.map(({ name, expert }) => ({
    name,
    modelHash: expert.description.modelHash,
  }));
  const parameters = formatInfotext({
    prompt: facts.prompt,
    negativePrompt: facts.negativePrompt,
    steps: facts.steps,
    sampler: "DDIM",
    cfgScale: facts.guidanceScale,
    seed: facts.seed,
    width: facts.width,
    height: facts.height,
    modelName: `Tutti(${members.length})`,
    modelHash: experts[0]!.modelHash,
    vaeHash,
    extra: {
      RNG: "CPU",
      "Tutti models": experts.map(({ name, modelHash }) => `${name} ${shortHash(modelHash)}`).join(
        ", ",
      ),
      "Tutti SABW": aggregator.name,
      "Tutti version": TUTTI_VERSION,
    },
  });
  const own = {
    version: TUTTI_VERSION,
    ensemble: ensemble.name,
    ...facts,
    seed: String(facts.seed),
    sampler: "ddim",
    sabw: aggregator.name,
    experts,
    vaeHash,
  };
  return { parameters, tutti: JSON.stringify(own) };
}
