/**
 * From a job's description and an open ensemble to a run of the sampling loop: tokens, noise, schedule, and the conditions
 * that the bits follow from.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { UsageError } from "../../shared/errors.ts";
import { bytesOf, type F32Tensor } from "../../shared/tensor/tensor.ts";
import {
  checkWireBlocks,
  dtypesOnTheWay,
  formatWireDtypes,
  parseWireDtypes,
} from "../cluster/tensor_transport.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { type AggregatedBlocks, aggregationPlan } from "../sampling/aggregation_plan.ts";
import { initialLatents } from "../sampling/initial_latents.ts";
import { type PromptRows, promptRows } from "../sampling/prompt_rows.ts";
import type { SampleRequest } from "../sampling/sample.ts";
import { DdimScheduler } from "../sampling/samplers/ddim.ts";
import type { JobSpec } from "./job_spec.ts";

export interface PreparedJob {
  readonly request: SampleRequest;
  readonly aggregatedBlocks: AggregatedBlocks;
  readonly size: Size;
  readonly conditions: RunConditions;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * All that the bits of a run follow from, by name: two runs whose conditions are equal can go on from each other's steps.
 */
export type RunConditions = Readonly<Record<string, string>>;

export interface PrepareOptions {
  /** Unit Gaussian latents instead of those of the seeds, f32 `[B, 4, H, W]`. */
  readonly noise?: F32Tensor;
  /** Told what of the prompts was cut or ignored. */
  readonly warn: (text: string) => void;
}

/** @throws {UsageError} if the job asks for what this ensemble cannot draw */
export function prepareJob(
  ensemble: Ensemble,
  spec: JobSpec,
  { noise = noiseOf(ensemble, spec), warn }: PrepareOptions,
): PreparedJob {
  const { experts, aggregator, vae: { factor }, tokenizers: [, secondTokenizer] } = ensemble;
  const { description } = experts[0]!;
  const [batch = 0, , height = 0, width = 0] = noise.shape;
  const size = { width: width * factor, height: height * factor };
  const schedulerConfig = {
    ...ensemble.schedulerConfig,
    predictionType: description.predictionType,
  };
  const rows = promptRows(ensemble, spec.prompt, spec, warn);
  const aggregatedBlocks = spec.aggregate ?? ensemble.aggregatedBlocks;
  const waves = spec.waves ?? defaultWaves(ensemble.members);
  const wireDtypes = parseWireDtypes(spec.wireDtype);
  checkWireBlocks(wireDtypes, description.blocks);
  return {
    size,
    aggregatedBlocks,
    request: {
      ...{ experts, aggregator, waves, initialLatents: noise, imageSize: size },
      plan: aggregationPlan(description.blocks, aggregatedBlocks),
      scheduler: new DdimScheduler(spec.steps, schedulerConfig),
      guidanceScale: spec.guidance,
      promptIds: new Array(batch).fill(rows.prompt),
      negativePromptIds: new Array(batch).fill(rows.negative),
      clipSkip: spec.clipSkip,
      isNegativeGiven: spec.negative !== "",
      wireDtypes,
      ...(secondTokenizer && { secondPadId: secondTokenizer.padTokenId }),
    },
    conditions: {
      ...expertConditions(ensemble, spec),
      sabwHash: ensemble.sabwHash,
      vaeHash: ensemble.vaeHash,
      computedBy: ensemble.computedBy,
      aggregatedBlocks: String(aggregatedBlocks),
      scheduler: JSON.stringify(schedulerConfig),
      waves: String(waves),
      tokens: tokensHash(rows),
      noise: createHash("sha256").update(bytesOf(noise)).digest("hex"),
    },
  };
}

/** Of each expert: its weights, what computes, and what its feature maps are on the way. */
function expertConditions({ members }: Ensemble, { wireDtype }: JobSpec): RunConditions {
  const facts = members.flatMap(({ expert: { description }, address, isElsewhere }, i) => {
    const dtypes = address === undefined
      ? undefined
      : dtypesOnTheWay({ wireDtypes: parseWireDtypes(wireDtype) }, isElsewhere);
    return [
      [`experts[${i}].modelHash`, description.modelHash],
      ...Object.entries(description.fingerprint).map((
        [key, value],
      ) => [`experts[${i}].fingerprint.${key}`, String(value)]),
      [`experts[${i}].wireDtype`, dtypes ? formatWireDtypes(dtypes.wireDtypes) : "none"],
    ];
  });
  return Object.fromEntries(facts);
}

function tokensHash({ prompt, negative }: PromptRows): string {
  return createHash("sha256").update(JSON.stringify([prompt, negative])).digest("hex");
}

/** A wire is worth hiding behind another wave's computing; on one host there is next to nothing to hide. */
function defaultWaves(members: Ensemble["members"]): number {
  return members.some(({ isElsewhere }) => isElsewhere) ? 2 : 1;
}

/** The noise of the seeds, in the job's size or the experts' own. */
function noiseOf({ experts, vae }: Ensemble, spec: JobSpec): F32Tensor {
  const { latentChannels, sampleSize } = experts[0]!.description;
  const size = spec.size ?? { width: sampleSize * vae.factor, height: sampleSize * vae.factor };
  for (const [axis, pixels] of Object.entries(size)) {
    if (pixels < vae.factor || pixels % vae.factor !== 0) {
      const near = Math.max(1, Math.round(pixels / vae.factor)) * vae.factor;
      throw new UsageError(
        `--size must be a multiple of ${vae.factor}: current ${axis} is ${pixels}; ${near} is the nearest`,
      );
    }
  }
  const shape = [latentChannels, size.height / vae.factor, size.width / vae.factor];
  return initialLatents(spec.seeds, shape);
}
