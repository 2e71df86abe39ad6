/**
 * From a job's description and an open ensemble to a run of the sampling loop: tokens, noise, schedule, and the conditions
 * that the bits follow from.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { bytesOf, type F32Tensor } from "../../shared/tensor/tensor.ts";
import {
  checkWireBlocks,
  dtypesOnTheWay,
  formatWireDtypes,
  parseWireDtypes,
} from "../cluster/tensor_transport.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { expertNames } from "../ensemble/expert_names.ts";
import { isEverGuided } from "../sampling/guidance.ts";
import { ImageNoise } from "../sampling/image_noise.ts";
import type { PictureSize } from "../sampling/methods/definition.ts";
import type { EnsemblingMethod } from "../sampling/methods/method.ts";
import type { Masks } from "../sampling/methods/regions/mask.ts";
import { createMethod, defaultMethod } from "../sampling/methods/methods.ts";
import { type PromptRows, promptRows } from "../sampling/prompt_rows.ts";
import type { SampleRequest } from "../sampling/sample.ts";
import { jobSampler } from "./job_sampler.ts";
import { fitPicture, type FittedPicture, type InitPicture } from "./init_picture.ts";
import { checkFits, latentShape } from "./job_size.ts";
import type { JobSpec } from "./job_spec.ts";
import { noteSchedule, warnOfExperts } from "./schedule_notes.ts";

export interface PreparedJob {
  /** Without the latents of the picture that it starts from, which take a while. */
  readonly request: SampleRequest;
  readonly picture?: FittedPicture;
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
  /** The files that the method's options name. @default none: a job of the queue has no files */
  readonly masks?: Masks;
  /** What the job starts from. @default noise alone */
  readonly init?: InitPicture | undefined;
  /** Told what of the prompts was cut or ignored. */
  readonly warn: (text: string) => void;
  /** Told by which schedule the models are sampled, if it is another than Stable Diffusion 1.5's. */
  readonly note?: (text: string) => void;
}

/** @throws {UsageError} if the job asks for what this ensemble cannot draw */
export function prepareJob(
  ensemble: Ensemble,
  job: JobSpec,
  { noise: given, masks, init, warn, note }: PrepareOptions,
): PreparedJob {
  // Guidance that is never on is none.
  const isNeverGuided = !isEverGuided(job.steps, job.guidanceInterval);
  const spec = isNeverGuided ? { ...job, guidance: 1 } : job;
  const { experts, vae: { factor }, tokenizers: [, secondTokenizer] } = ensemble;
  const shape = given?.shape.slice(1) ?? latentShape(ensemble, spec);
  const waves = spec.waves ?? defaultWaves(ensemble.members);
  checkFits(ensemble, spec, { shape, waves });
  const noise = new ImageNoise(spec.seeds, shape);
  // The first draw of each image's generator, also where a file takes its place.
  const drawn = noise.next();
  const latents = given ?? drawn;
  const [batch = 0, , height = 0, width = 0] = latents.shape;
  const size = { width: width * factor, height: height * factor };
  const picture = { ...size, latentWidth: width, latentHeight: height };
  const start = fitPicture(init, spec, size);
  const method = jobMethod(ensemble, spec, { picture, masks });
  const { sampler, scheduler, agreed } = jobSampler(ensemble, method, spec);
  noteSchedule(agreed, spec, note);
  warnOfExperts(ensemble, method, { sampler: spec.sampler, warn });
  const rows = promptRows(ensemble, spec.prompt, spec, warn);
  const wireDtypes = parseWireDtypes(spec.wireDtype);
  for (const { description } of experts) checkWireBlocks(wireDtypes, description.blocks);
  return {
    size,
    ...(start && { picture: start }),
    request: {
      experts,
      method,
      sampler,
      waves,
      noise,
      initialLatents: latents,
      imageSize: size,
      guidanceScale: spec.guidance,
      ...(spec.guidanceInterval && { guidanceInterval: spec.guidanceInterval }),
      ...(spec.guidanceRescale !== undefined && { guidanceRescale: spec.guidanceRescale }),
      promptIds: new Array(batch).fill(rows.prompt),
      negativePromptIds: new Array(batch).fill(rows.negative),
      clipSkip: spec.clipSkip,
      isNegativeGiven: spec.negative !== "",
      wireDtypes,
      ...(secondTokenizer && { secondPadId: secondTokenizer.padTokenId }),
    },
    conditions: {
      ...expertConditions(ensemble, spec),
      ...method.conditions,
      vaeHash: ensemble.vaeHash,
      computedBy: ensemble.computedBy,
      scheduler,
      waves: String(waves),
      tokens: tokensHash(rows),
      noise: createHash("sha256").update(bytesOf(latents)).digest("hex"),
      ...(start && { init: start.sha256 }),
    },
  };
}

/** What a method asks of an ensemble. */
export type MethodEnsemble = Pick<Ensemble, "members" | "experts" | "sabw" | "featuresDiffer">;

/** @throws {UsageError} if the ensemble cannot play it */
export function jobMethod(
  { members, experts, sabw, featuresDiffer }: MethodEnsemble,
  spec: JobSpec,
  { picture, masks }: { readonly picture: PictureSize; readonly masks?: Masks | undefined },
): EnsemblingMethod {
  const { method = defaultMethod(sabw !== undefined), aggregate, guidance, sampler, eta } = spec;
  return createMethod(method, {
    experts: expertNames(members),
    blocks: experts[0]!.description.blocks,
    sabw,
    guidanceScale: guidance,
    sampler: { name: sampler, eta },
    picture,
    masks,
    aggregated: aggregate,
    featuresDiffer,
  });
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
