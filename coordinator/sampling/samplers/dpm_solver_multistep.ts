/**
 * DPM-Solver multistep (Lu et al. 2022 with the noise prediction; diffusers `scheduling_dpmsolver_multistep.py` with
 * `algorithm_type` "dpmsolver"): as DPM-Solver++, but it is the noise prediction that is extrapolated over `-log sigma`. A run ends
 * at the least sigma of training; a step to 0 would be Euler's.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { SolverType } from "./dpmpp_multistep.ts";
import { derivative, eulerStep } from "./euler.ts";
import { differences, loweredOrder, recall, remember } from "./multistep.ts";
import type { Solver } from "./sigma_sampler.ts";

export interface DpmSolverMultistepOptions {
  readonly order: 2 | 3;
  /** @default "midpoint" */
  readonly solverType?: SolverType;
}

export function dpmSolverMultistep(
  { order, solverType = "midpoint" }: DpmSolverMultistepOptions,
): Solver {
  return {
    calls: ({ sigma }) => [{ sigma }],
    step({ x, denoised, memory, ...step }) {
      const { sigma, sigmaNext } = step;
      const epsilon = derivative(x, denoised, sigma);
      if (sigmaNext === 0) return { latents: eulerStep(x, epsilon, -sigma), memory: {} };
      const known = [epsilon, ...recall(memory, "epsilon")].slice(0, order);
      const used = known.slice(0, loweredOrder(order, step));
      const h = Math.log(sigma / sigmaNext);
      const phi1 = Math.expm1(h);
      const phi2 = phi1 / h - 1;
      const phi3 = phi2 / h - 0.5;
      const { d1, d2 } = used.length > 1 ? differences(used, step) : {};
      const firstWeight = d2 || solverType === "heun" ? phi2 : phi1 / 2;
      return {
        latents: lincomb([
          [1, x],
          [sigmaNext - sigma, epsilon],
          ...(d1 ? [[-sigmaNext * firstWeight, d1] as const] : []),
          ...(d2 ? [[-sigmaNext * phi3, d2] as const] : []),
        ]),
        memory: remember("epsilon", known.slice(0, order - 1)),
      };
    },
  };
}
