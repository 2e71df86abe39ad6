/** What a U-Net's output means, kept apart from what a scheduler does with it. @module */

import { lincomb } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

export type PredictionType = "epsilon" | "v_prediction";

/**
 * The noise and the clean latents in `x_t = sqrt(alphaBar) x_0 + sqrt(1 - alphaBar) epsilon`, from what
 * the U-Net predicted: epsilon itself, or the velocity `v = sqrt(alphaBar) epsilon - sqrt(1 - alphaBar) x_0`
 * (Salimans and Ho 2022).
 */
export function epsilonAndDenoised(
  modelOutput: F32Tensor,
  latents: F32Tensor,
  alphaBar: number,
  predictionType: PredictionType,
): { readonly epsilon: F32Tensor; readonly denoised: F32Tensor } {
  const signal = Math.sqrt(alphaBar);
  const noise = Math.sqrt(1 - alphaBar);
  switch (predictionType) {
    case "epsilon":
      return {
        epsilon: modelOutput,
        denoised: lincomb([[1 / signal, latents], [-noise / signal, modelOutput]]),
      };
    case "v_prediction":
      return {
        epsilon: lincomb([[signal, modelOutput], [noise, latents]]),
        denoised: lincomb([[signal, latents], [-noise, modelOutput]]),
      };
  }
}
