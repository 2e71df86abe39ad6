/**
 * The sampler of latent consistency models (Luo et al. 2023, Algorithm 3; k-diffusion's `sample_lcm`): each evaluation gives clean
 * latents, to which new noise is added up to the next level. diffusers' boundary factors c_skip and c_out, which differ from 0 and
 * 1 by less than 1e-5 at every timestep that distilled models know, are left out.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { Solver } from "./sigma_sampler.ts";

export const LCM: Solver = {
  calls: ({ sigma, sigmaNext }) => [{ sigma, noiseCount: sigmaNext > 0 ? 1 : 0 }],
  step({ denoised, noise: [noise], sigmaNext }) {
    return {
      latents: noise ? lincomb([[1, denoised], [sigmaNext, noise]]) : denoised,
      memory: {},
    };
  },
};
