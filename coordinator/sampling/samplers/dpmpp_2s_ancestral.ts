/**
 * DPM++ 2S a, as k-diffusion's `sample_dpmpp_2s_ancestral`: the single-step second-order DPM-Solver++ (Lu et al. 2022, Algorithm 1)
 * with its middle half way in log sigma, down to the ancestral level, and new noise from there up.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { type AncestralOptions, ancestralStep } from "./euler_ancestral.ts";
import type { Solver } from "./sigma_sampler.ts";

export function dpmpp2sAncestral({ eta = 1, noiseScale = 1 }: AncestralOptions = {}): Solver {
  return {
    calls({ sigma, sigmaNext }) {
      const { down } = ancestralStep(sigma, sigmaNext, eta);
      const noiseCount = sigmaNext > 0 ? 1 : 0;
      if (down === 0) return [{ sigma, noiseCount }];
      return [{ sigma }, { sigma: Math.sqrt(sigma * down), noiseCount }];
    },
    step({ x, denoised, memory, noise: [noise], sigma, sigmaNext, call }) {
      const { down, up } = ancestralStep(sigma, sigmaNext, eta);
      const random = noise ? [[noiseScale * up, noise] as const] : [];
      if (call === 0 && down > 0) {
        const ratio = Math.sqrt(down / sigma);
        return { latents: lincomb([[ratio, x], [1 - ratio, denoised]]), memory: { start: x } };
      }
      // exp(-h) = down / sigma; where nothing is left of the noise, the estimate itself remains.
      const ratio = down / sigma;
      const start = call === 0 ? x : memory.start!;
      return {
        latents: lincomb([[ratio, start], [1 - ratio, denoised], ...random]),
        memory: {},
      };
    },
  };
}
