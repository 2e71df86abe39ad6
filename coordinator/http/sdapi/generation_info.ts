/** What `/sdapi/v1/txt2img` says of the pictures that it gives: the object whose text is `info`. @module */

import { findSampler } from "../../sampling/samplers/find_sampler.ts";
import { DEFAULT_SAMPLER } from "../../sampling/samplers/samplers.ts";
import type { JobPicture } from "../runtime/job_pictures.ts";
import type { JsonObject } from "../server/request_body.ts";
import { checkpointOf } from "./checkpoints.ts";
import type { Txt2ImgRequest } from "./txt2img_request.ts";
import { timestamp } from "./webui_progress.ts";

export interface Generated {
  readonly pictures: readonly JobPicture[];
  readonly warnings: readonly string[];
  readonly startedAt: Date;
}

export function generationInfo(
  { served, specs }: Txt2ImgRequest,
  { pictures, warnings, startedAt }: Generated,
): JsonObject {
  const { name, hash } = checkpointOf(served);
  const spec = specs[0]!;
  const seeds = pictures.map(({ seed }) => Number(seed));
  const [first] = pictures;
  const { sampleSize } = served.ensemble.experts[0]!.description;
  const side = sampleSize * served.ensemble.vae.factor;
  return {
    prompt: spec.prompt,
    all_prompts: seeds.map(() => spec.prompt),
    negative_prompt: spec.negative,
    all_negative_prompts: seeds.map(() => spec.negative),
    seed: Number(spec.seeds[0]),
    all_seeds: seeds,
    subseed: -1,
    all_subseeds: seeds.map(() => -1),
    subseed_strength: 0,
    width: first?.width ?? spec.size?.width ?? side,
    height: first?.height ?? spec.size?.height ?? side,
    sampler_name: findSampler(spec.sampler ?? DEFAULT_SAMPLER).label,
    cfg_scale: spec.guidance,
    steps: spec.steps,
    batch_size: spec.seeds.length,
    restore_faces: false,
    face_restoration_model: null,
    sd_model_name: name,
    sd_model_hash: hash,
    sd_vae_name: null,
    sd_vae_hash: served.ensemble.vaeHash.slice(0, 10),
    seed_resize_from_w: -1,
    seed_resize_from_h: -1,
    denoising_strength: spec.strength ?? 0,
    extra_generation_params: {},
    index_of_first_image: 0,
    infotexts: pictures.map(({ infotext }) => infotext),
    styles: [],
    job_timestamp: timestamp(startedAt),
    clip_skip: spec.clipSkip,
    is_using_inpainting_conditioning: false,
    version: null,
    comments: warnings,
  };
}
