/** Euler's method with ancestral noise, as k-diffusion's `sample_euler_ancestral`. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative } from "./euler.ts";
import type { Solver } from "./sigma_sampler.ts";

export interface AncestralOptions {
  /** Share of the noise that is drawn anew: 0 is Euler's method. @default 1 */
  readonly eta?: number;
  /** Factor on that noise. @default 1 */
  readonly noiseScale?: number;
}

export function eulerAncestral({ eta = 1, noiseScale = 1 }: AncestralOptions = {}): Solver {
  return {
    calls: ({ sigma, sigmaNext }) => [{ sigma, noiseCount: sigmaNext > 0 ? 1 : 0 }],
    step({ x, denoised, noise: [noise], sigma, sigmaNext }) {
      const { down, up } = ancestralStep(sigma, sigmaNext, eta);
      const d = derivative(x, denoised, sigma);
      const random = noise ? [[noiseScale * up, noise] as const] : [];
      return { latents: lincomb([[1, x], [down - sigma, d], ...random]), memory: {} };
    },
  };
}

/**
 * The level that a step goes down to, and the noise that brings it up to the next one: `down^2 + up^2 = sigmaNext^2`, with
 * `up = eta sqrt(sigmaNext^2 (sigma^2 - sigmaNext^2) / sigma^2)` at most `sigmaNext`.
 */
export function ancestralStep(
  sigma: number,
  sigmaNext: number,
  eta: number,
): { readonly down: number; readonly up: number } {
  const variance = sigmaNext ** 2 * (sigma ** 2 - sigmaNext ** 2) / sigma ** 2;
  const up = Math.min(sigmaNext, eta * Math.sqrt(variance));
  return { down: Math.sqrt(sigmaNext ** 2 - up ** 2), up };
}
