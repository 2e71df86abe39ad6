/**
 * DPM++ SDE, as k-diffusion's `sample_dpmpp_sde` with r = 1/2: a stochastic second-order step whose second evaluation stands half way
 * in log sigma. Each evaluation is followed by noise of its own: the first from sigma to the middle, the second from sigma to the
 * next level. k-diffusion draws the two from one Brownian path, which correlates them; here they are independent draws.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { type AncestralOptions, ancestralStep } from "./euler_ancestral.ts";
import type { Solver } from "./sigma_sampler.ts";

export function dpmppSde({ eta = 1, noiseScale = 1 }: AncestralOptions = {}): Solver {
  return {
    calls({ sigma, sigmaNext }) {
      if (sigmaNext === 0) return [{ sigma }];
      const noiseCount = eta > 0 ? 1 : 0;
      return [{ sigma, noiseCount }, { sigma: Math.sqrt(sigma * sigmaNext), noiseCount }];
    },
    step({ x, denoised, memory, noise: [noise], sigma, sigmaNext, call }) {
      if (sigmaNext === 0) return { latents: denoised, memory: {} };
      const to = call === 0 ? Math.sqrt(sigma * sigmaNext) : sigmaNext;
      const { down, up } = ancestralStep(sigma, to, eta);
      const random = noise ? [[noiseScale * up, noise] as const] : [];
      // With r = 1/2 the estimate at the middle counts alone in the second half: 1 - 1 / (2 r) = 0.
      return {
        latents: lincomb([
          [down / sigma, call === 0 ? x : memory.start!],
          [1 - down / sigma, denoised],
          ...random,
        ]),
        memory: call === 0 ? { start: x } : {},
      };
    },
  };
}
