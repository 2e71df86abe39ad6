/**
 * Ancestral sampling of DDPM with the posterior's variance (Ho et al. 2020, Algorithm 2 and Eq. 6 and 7; ComfyUI's `sample_ddpm`). On
 * noise levels the posterior of a step is `x_0 + sigmaNext^2 / sigma epsilon` with the variance `sigmaNext^2 (sigma^2 -
 * sigmaNext^2) / sigma^2`, which are the level that Euler a goes down to and the noise that it adds.
 *
 * @module
 */

import { eulerAncestral } from "./euler_ancestral.ts";
import type { Solver } from "./sigma_sampler.ts";

export const DDPM: Solver = eulerAncestral({ eta: 1 });
