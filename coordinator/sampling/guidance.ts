/** Classifier-free guidance (Ho and Salimans 2022). Both halves travel as one batch, `[uncond, text]`. @module */

import { lincomb } from "../../shared/tensor/lincomb.ts";
import { concatRows, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";

/** Whether a scale needs the unconditional half at all: at 1 it cancels out. */
export function usesGuidance(guidanceScale: number): boolean {
  return guidanceScale !== 1;
}

/** `[B, ...]` -> `[2B, ...]`: the same latents for both halves; without guidance as it is. */
export function duplicateForGuidance(latents: F32Tensor, guidanceScale: number): F32Tensor {
  return usesGuidance(guidanceScale) ? concatRows([latents, latents]) : latents;
}

/**
 * `noise_uncond + g (noise_text - noise_uncond)`
 *
 * @param noisePred f32 `[2B, C, H, W]`, or `[B, C, H, W]` without guidance
 * @returns f32 `[B, C, H, W]`
 */
export function classifierFreeGuidance(noisePred: F32Tensor, guidanceScale: number): F32Tensor {
  if (!usesGuidance(guidanceScale)) return noisePred;
  const rows = noisePred.shape[0]!;
  const noisePredUncond = sliceRows(noisePred, 0, rows / 2);
  const noisePredText = sliceRows(noisePred, rows / 2, rows);
  return lincomb([[1 - guidanceScale, noisePredUncond], [guidanceScale, noisePredText]]);
}
