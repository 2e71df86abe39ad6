/**
 * DPM-Solver single-step, orders 1 to 3 (Lu et al. 2022, Algorithms 1 and 2; the `DPMSolver` class of k-diffusion): as many evaluations
 * a step as the order, at 1/2, or at 1/3 and 2/3 of the way in log sigma. Order 1 is Euler's method on the noise levels and order
 * 2 is DPM2; a step to 0 is Euler's.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative, eulerStep } from "./euler.ts";
import type { Solver } from "./sigma_sampler.ts";

/** How far along the step the evaluations stand. */
const WAYPOINTS = { 1: [0], 2: [0, 1 / 2], 3: [0, 1 / 3, 2 / 3] } as const;

export function dpmSolverSinglestep(order: 1 | 2 | 3): Solver {
  const ways = WAYPOINTS[order];
  return {
    calls: ({ sigma, sigmaNext }) =>
      (sigmaNext === 0 ? [0] : ways).map((way) => ({ sigma: between(sigma, sigmaNext, way) })),
    step({ x, denoised, memory, sigma, sigmaNext, call }) {
      const way = ways[call]!;
      const nextWay = sigmaNext === 0 ? 1 : ways[call + 1] ?? 1;
      const to = between(sigma, sigmaNext, nextWay);
      const epsilon = derivative(x, denoised, between(sigma, sigmaNext, way));
      const isLast = nextWay === 1;
      if (call === 0) {
        const kept = isLast ? {} : { start: x, epsilon };
        return { latents: eulerStep(x, epsilon, to - sigma), memory: kept };
      }
      const { start, epsilon: first } = memory;
      const h = Math.log(sigma / to);
      // The change of the noise prediction along the way, weighed by the midpoint method or by its exact integral.
      const phi = order === 2 ? Math.expm1(h) / 2 : Math.expm1(h) / h - 1;
      const weight = to * phi * nextWay / way;
      return {
        latents: lincomb([
          [1, start!],
          [to - sigma + weight, first!],
          [-weight, epsilon],
        ]),
        memory: isLast ? {} : { start: start!, epsilon: first! },
      };
    },
  };
}

/** The level at a share of the way in log sigma. */
function between(sigma: number, sigmaNext: number, way: number): number {
  if (way === 0) return sigma;
  return way === 1 ? sigmaNext : sigma * (sigmaNext / sigma) ** way;
}
