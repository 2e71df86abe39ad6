/**
 * DPM2 and DPM2 a, as k-diffusion's `sample_dpm_2` and `sample_dpm_2_ancestral`: the midpoint method in log sigma (DPM-Solver-2, Lu
 * et al. 2022, Algorithm 1), after which the ancestral one adds new noise. The midpoint of a step is `sqrt(sigma sigmaNext)`; a
 * step to 0 has none and is Euler's.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative, eulerStep } from "./euler.ts";
import { type AncestralOptions, ancestralStep } from "./euler_ancestral.ts";
import type { Solver } from "./sigma_sampler.ts";

/** @param options `eta` 0 is DPM2, 1 is DPM2 a */
export function dpm2({ eta = 0, noiseScale = 1 }: AncestralOptions = {}): Solver {
  return {
    calls({ sigma, sigmaNext }) {
      const { down } = ancestralStep(sigma, sigmaNext, eta);
      const noiseCount = eta > 0 && sigmaNext > 0 ? 1 : 0;
      if (down === 0) return [{ sigma, noiseCount }];
      return [{ sigma }, { sigma: Math.sqrt(sigma * down), noiseCount }];
    },
    step({ x, denoised, memory, noise: [noise], sigma, sigmaNext, call, at }) {
      const { down, up } = ancestralStep(sigma, sigmaNext, eta);
      const random = noise ? [[noiseScale * up, noise] as const] : [];
      const d = derivative(x, denoised, at);
      if (call === 0) {
        const middle = Math.sqrt(sigma * down);
        if (down > 0) return { latents: eulerStep(x, d, middle - sigma), memory: { start: x } };
        return { latents: lincomb([[1, x], [-sigma, d], ...random]), memory: {} };
      }
      return {
        latents: lincomb([[1, memory.start!], [down - sigma, d], ...random]),
        memory: {},
      };
    },
  };
}
