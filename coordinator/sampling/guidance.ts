/** Classifier-free guidance (Ho and Salimans 2022). Both halves travel as one batch, `[uncond, text]`. @module */

import { lincomb } from "../../shared/tensor/lincomb.ts";
import { concatRows, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";

export type GuidanceHalf = "unconditional" | "conditional";

/** A prediction of noise (or velocity) with both halves of guidance apart, f32 `[B, C, H, W]` each. */
export interface NoisePrediction {
  readonly conditional: F32Tensor;
  /** Absent without guidance. */
  readonly unconditional?: F32Tensor;
}

/** With both halves: what methods get that need guidance. */
export type GuidedNoise = Required<NoisePrediction>;

/** Whether a scale needs the unconditional half at all: at 1 it cancels out. */
export function usesGuidance(guidanceScale: number): boolean {
  return guidanceScale !== 1;
}

/**
 * The part of a run in which guidance is on, as shares of its steps: 0 is before the first and 1 after the last (after Kynkäänniemi
 * et al. 2024, who count in noise levels). Outside the conditional half decides alone, as at scale 1.
 */
export interface GuidanceInterval {
  readonly from: number;
  readonly to: number;
}

/** Whether a step begins within the interval. */
export function isGuided(
  { stepIndex, stepCount }: { readonly stepIndex: number; readonly stepCount: number },
  { from, to }: GuidanceInterval = { from: 0, to: 1 },
): boolean {
  const done = stepIndex / stepCount;
  return from <= done && done < to;
}

/** Whether guidance is on in any of a run's steps. */
export function isEverGuided(stepCount: number, interval?: GuidanceInterval): boolean {
  const steps = Array.from({ length: stepCount }, (_, stepIndex) => ({ stepIndex, stepCount }));
  return steps.some((step) => isGuided(step, interval));
}

/** Which half each row of a step's batch belongs to: all unconditional rows first. */
export function guidanceRows(images: number, guidanceScale: number): GuidanceHalf[] {
  const half = (name: GuidanceHalf) => new Array<GuidanceHalf>(images).fill(name);
  const conditional = half("conditional");
  return usesGuidance(guidanceScale) ? [...half("unconditional"), ...conditional] : conditional;
}

/** `[B, ...]` -> `[2B, ...]`: the same latents for both halves; without guidance as it is. */
export function duplicateForGuidance(latents: F32Tensor, guidanceScale: number): F32Tensor {
  return usesGuidance(guidanceScale) ? concatRows([latents, latents]) : latents;
}

/** The way back: `[2B, ...]` of both halves, or `[B, ...]` without guidance. */
export function splitGuidance(noisePred: F32Tensor, guidanceScale: number): NoisePrediction {
  if (!usesGuidance(guidanceScale)) return { conditional: noisePred };
  const rows = noisePred.shape[0]!;
  return {
    unconditional: sliceRows(noisePred, 0, rows / 2),
    conditional: sliceRows(noisePred, rows / 2, rows),
  };
}

/**
 * `noise_uncond + g (noise_text - noise_uncond)`; without an unconditional half the conditional one.
 *
 * @returns f32 `[B, C, H, W]`
 */
export function classifierFreeGuidance(
  { conditional, unconditional }: NoisePrediction,
  guidanceScale: number,
): F32Tensor {
  if (!unconditional) return conditional;
  return lincomb([[1 - guidanceScale, unconditional], [guidanceScale, conditional]]);
}

/**
 * Guidance rescale (Lin et al. 2023, section 3.4): what guidance has done to the spread of the prediction is undone by a share.
 * It is taken of the U-Net's own output, be that noise or velocity.
 *
 * @param guided what guidance gave, f32 `[B, C, H, W]`
 * @param conditional the conditional half of it, f32 `[B, C, H, W]`
 * @param rescale 0 leaves `guided` as it is; 1 gives each image the deviation of its conditional half
 */
export function rescaleGuidance(
  guided: F32Tensor,
  conditional: F32Tensor,
  rescale: number,
): F32Tensor {
  if (rescale === 0) return guided;
  const rows = Array.from({ length: guided.shape[0]! }, (_, row) => {
    const own = sliceRows(guided, row, row + 1);
    const ratio = deviation(sliceRows(conditional, row, row + 1)) / deviation(own);
    return lincomb([[rescale * ratio + 1 - rescale, own]]);
  });
  return concatRows(rows);
}

/** The sample's standard deviation over all elements. */
function deviation({ data }: F32Tensor): number {
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const squares = data.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (data.length - 1));
}
