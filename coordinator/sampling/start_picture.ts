/** Runs that start from a picture with noise on it instead of from noise alone (img2img), and keep parts of it (inpainting). @module */

import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import { initialState, type Sampler, type SamplerState, stepCount } from "./samplers/sampler.ts";

export interface StartPicture {
  /** Of the picture, as the U-Net has them, f32 `[B, 4, H, W]`. */
  readonly latents: F32Tensor;
  /** How much of it is drawn anew, 0..1: the share of the steps that are run. */
  readonly strength: number;
  /** 1 where something is drawn, 0 where the picture stays, f32 `[H, W]`. @default 1 everywhere */
  readonly mask?: F32Tensor;
}

/**
 * The first step that is run; as many as there are for none. Of n steps `floor(n strength)` are, as in diffusers'
 * `StableDiffusionImg2ImgPipeline.get_timesteps`.
 */
export function firstStep(steps: number, strength: number): number {
  // A product such as 10 times 0.7 may come out a little below the whole number that it is.
  const run = Math.floor(steps * strength + 1e-9);
  return steps - Math.min(run, steps);
}

/** The evaluation that comes first. */
export function firstEvaluation(sampler: Sampler, { strength }: StartPicture): number {
  const first = firstStep(stepCount(sampler), strength);
  const index = sampler.evaluations.findIndex(({ stepIndex }) => stepIndex >= first);
  return index < 0 ? sampler.evaluations.length : index;
}

/**
 * The state before the first evaluation. With all steps it is noise alone, as of text to image; with none the picture.
 *
 * @param noise unit Gaussian, f32 `[B, 4, H, W]`
 */
export function startState(sampler: Sampler, start: StartPicture, noise: F32Tensor): SamplerState {
  const begin = firstEvaluation(sampler, start);
  if (begin === 0) return initialState(sampler, noise);
  return { latents: atNoiseOf(sampler, start, noise, begin), memory: {} };
}

/**
 * Puts the picture back where the mask keeps it, at the noise level of the next evaluation.
 *
 * @param next index of that evaluation; one past the last for none
 */
export function keepUnmasked(
  sampler: Sampler,
  start: StartPicture,
  noise: F32Tensor,
  latents: F32Tensor,
  next: number,
): F32Tensor {
  const { mask } = start;
  if (!mask) return latents;
  const kept = atNoiseOf(sampler, start, noise, next);
  const pixels = mask.data.length;
  const blended = f32(latents.shape);
  latents.data.forEach((value, i) => {
    const share = mask.data[i % pixels]!;
    blended.data[i] = share === 1 ? value : share * value + (1 - share) * kept.data[i]!;
  });
  return blended;
}

/** The picture's latents at the noise level of an evaluation; behind the last one, as they are. */
function atNoiseOf(
  sampler: Sampler,
  { latents }: StartPicture,
  noise: F32Tensor,
  evaluation: number,
): F32Tensor {
  return evaluation >= sampler.evaluations.length
    ? lincomb([[1, latents]])
    : sampler.addNoise(latents, noise, evaluation);
}
