/**
 * DPM-Solver++ multistep: DPM++ 2M, 3M, 2M SDE and 3M SDE (Lu et al. 2022, Algorithm 2 and its SDE form; k-diffusion's
 * `sample_dpmpp_2m`, `_2m_sde`, `_3m_sde`; diffusers `scheduling_dpmsolver_multistep.py`). The estimate of the clean latents is
 * extrapolated over `lambda = -log sigma` from the last steps'. With `eta` 0 the SDE forms are the ODE forms.
 *
 * diffusers writes these on `sqrt(alphaBar) x`; each of its coefficients is one here times the ratio of both ends'
 * `sqrt(alphaBar)`, so that both are one solver.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { differences, loweredOrder, recall, remember } from "./multistep.ts";
import type { Solver } from "./sigma_sampler.ts";

/** How a step of second order weighs its difference: as the midpoint method does, or by its exact integral. */
export type SolverType = "midpoint" | "heun";

export interface DpmppMultistepOptions {
  readonly order: 2 | 3;
  /** Share of noise that is drawn anew. @default 0 */
  readonly eta?: number;
  /** Factor on that noise. @default 1 */
  readonly noiseScale?: number;
  /** @default "midpoint" */
  readonly solverType?: SolverType;
  /** Whether the last steps of a run of few are of lower order, as in diffusers. @default false */
  readonly lowersFinal?: boolean;
}

export function dpmppMultistep(options: DpmppMultistepOptions): Solver {
  const { order, eta = 0, noiseScale = 1, solverType = "midpoint", lowersFinal = false } = options;
  return {
    calls: ({ sigma, sigmaNext }) => [{ sigma, noiseCount: eta > 0 && sigmaNext > 0 ? 1 : 0 }],
    step({ x, denoised, memory, noise: [noise], ...step }) {
      const { sigma, sigmaNext } = step;
      if (sigmaNext === 0) return { latents: denoised, memory: {} };
      const known = [denoised, ...recall(memory, "denoised")].slice(0, order);
      const used = known.slice(0, lowersFinal ? loweredOrder(order, step) : order);
      const h = Math.log(sigma / sigmaNext);
      const phi1 = -Math.expm1(-h * (1 + eta));
      const phi2 = 1 - phi1 / (h * (1 + eta));
      const phi3 = phi2 / (h * (1 + eta)) - 0.5;
      const random = Math.sqrt(-Math.expm1(-2 * eta * h)) * sigmaNext * noiseScale;
      const { d1, d2 } = used.length > 1 ? differences(used, step) : {};
      const firstWeight = d2 || solverType === "heun" ? phi2 : phi1 / 2;
      return {
        latents: lincomb([
          [sigmaNext / sigma * Math.exp(-eta * h), x],
          [phi1, denoised],
          ...(d1 ? [[firstWeight, d1] as const] : []),
          ...(d2 ? [[-phi3, d2] as const] : []),
          ...(noise ? [[random, noise] as const] : []),
        ]),
        memory: remember("denoised", known.slice(0, order - 1)),
      };
    },
  };
}
