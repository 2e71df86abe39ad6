/**
 * Linear multistep (Adams-Bashforth) in sigma, as k-diffusion's `sample_lms`: the derivative is taken as the polynomial through
 * the last steps' values and integrated over the step; the integrals are exact.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative } from "./euler.ts";
import { lagrangeWeights } from "./lagrange.ts";
import { recall, remember } from "./multistep.ts";
import type { Solver } from "./sigma_sampler.ts";

/** @param order of the steps once that many are remembered */
export function lms(order = 4): Solver {
  return {
    calls: ({ sigma }) => [{ sigma }],
    step({ x, denoised, memory, sigmas, stepIndex, sigma, sigmaNext }) {
      const newest = derivative(x, denoised, sigma);
      const derivatives = [newest, ...recall(memory, "derivative")].slice(0, order);
      const nodes = derivatives.map((_, age) => sigmas[stepIndex - age]!);
      const moments = nodes.map((_, power) => (sigmaNext - sigma) ** (power + 1) / (power + 1));
      const weights = lagrangeWeights(nodes, moments);
      return {
        latents: lincomb([[1, x], ...derivatives.map((d, i) => [weights[i]!, d] as const)]),
        memory: remember("derivative", derivatives.slice(0, order - 1)),
      };
    },
  };
}
