/**
 * DPM-Solver++ 2S and 3S over the steps of a run (Lu et al. 2022, Algorithm 1; diffusers `scheduling_dpmsolver_singlestep.py`, midpoint,
 * `lower_order_final`): steps go in groups of up to the order, and each step of a group starts where the group does and uses the
 * group's evaluations so far, so that a step costs one evaluation. A step to 0 is the estimate itself, whatever its order.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative } from "./euler.ts";
import { recall, remember } from "./multistep.ts";
import type { Solver } from "./sigma_sampler.ts";

export interface DpmppSinglestepOptions {
  readonly order: 2 | 3;
  /** What the solver takes to be smooth: the clean latents (DPM-Solver++) or the noise (DPM-Solver). @default "denoised" */
  readonly form?: "denoised" | "epsilon";
}

export function dpmppSinglestep({ order, form = "denoised" }: DpmppSinglestepOptions): Solver {
  return {
    calls: ({ sigma }) => [{ sigma }],
    step({ x, denoised, memory, sigmas, stepIndex, sigma, sigmaNext }) {
      if (sigmaNext === 0) return { latents: denoised, memory: {} };
      const orders = stepOrders(order, sigmas.length - 1);
      const newest = form === "denoised" ? denoised : derivative(x, denoised, sigma);
      // A run that begins in the middle of a group has fewer evaluations than the step would use.
      const used = [newest, ...recall(memory, "value")].slice(0, orders[stepIndex]);
      const start = used.length === 1 ? x : memory.start!;
      const first = used.at(-1)!;
      const from = sigmas[stepIndex - used.length + 1]!;
      const h = Math.log(from / sigmaNext);
      const way = Math.log(from / sigma) / h;
      // Coefficients of `start`, of the first value, and of its change along the step by the midpoint method or exactly.
      const [keep, phi1] = form === "denoised"
        ? [sigmaNext / from, 1 - sigmaNext / from]
        : [1, sigmaNext - from];
      const phi2 = form === "denoised" ? 1 - phi1 / h : phi1 / h + sigmaNext;
      const weight = used.length === 1 ? 0 : (used.length === 2 ? phi1 / 2 : phi2) / way;
      const groupGoesOn = (orders[stepIndex + 1] ?? 1) > 1;
      return {
        latents: lincomb([[keep, start], [phi1 - weight, first], [weight, newest]]),
        memory: groupGoesOn ? { start, ...remember("value", used) } : {},
      };
    },
  };
}

/** The order of each step: 1, 2, 1, 2, ... or 1, 2, 3, 1, 2, 3, ... with a last one of 1, or of 2 where three do not fit. */
export function stepOrders(order: 2 | 3, steps: number): number[] {
  const orders = Array.from({ length: steps }, (_, i) => i % order + 1);
  if (order === 2 || steps % 3 !== 2) orders[steps - 1] = 1;
  return orders;
}
