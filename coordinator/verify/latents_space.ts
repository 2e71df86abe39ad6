/**
 * The two spaces in which reference latents are: VE, `x_0 + sigma z`, and VP, the same times `sqrt(alphaBar)`. Our samplers on noise
 * levels have theirs in VE; DDIM and PNDM in VP.
 *
 * @module
 */

import type { Sampler } from "../sampling/samplers/sampler.ts";
import { SigmaSampler } from "../sampling/samplers/sigma_sampler.ts";

export type LatentsSpace = "VE" | "VP";

/** Factor from a sampler's latents at a noise level to those of a space that it can be compared in. */
export function scaleTo(space: LatentsSpace, sampler: Sampler, sigma: number): number {
  return space === "VP" && sampler instanceof SigmaSampler ? 1 / Math.hypot(sigma, 1) : 1;
}

/** The noise level that the latents have after an evaluation; after the last one, where the run ends. */
export function sigmaAfter(sampler: Sampler, evaluationIndex: number): number {
  const next = sampler.evaluations[evaluationIndex + 1];
  if (next) return next.sigma;
  return sampler instanceof SigmaSampler ? sampler.sigmas.at(-1)! : 0;
}
