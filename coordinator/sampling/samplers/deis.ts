/**
 * DEIS in its log-rho form (Zhang and Chen 2023; diffusers `scheduling_deis_multistep.py`): as LMS, but the noise prediction is a
 * polynomial in log sigma. Its step to sigma 0 is Euler's, as log 0 is no number; diffusers never takes one.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative, eulerStep } from "./euler.ts";
import { lagrangeWeights } from "./lagrange.ts";
import { loweredOrder, recall, remember } from "./multistep.ts";
import type { Solver } from "./sigma_sampler.ts";

export interface DeisOptions {
  /** @default 3 */
  readonly order?: 1 | 2 | 3;
  /** Whether the last steps of a run of few are of lower order. @default true */
  readonly lowersFinal?: boolean;
}

export function deis({ order = 3, lowersFinal = true }: DeisOptions = {}): Solver {
  return {
    calls: ({ sigma }) => [{ sigma }],
    step({ x, denoised, memory, ...step }) {
      const { sigmas, stepIndex, sigma, sigmaNext } = step;
      const newest = derivative(x, denoised, sigma);
      const known = [newest, ...recall(memory, "epsilon")].slice(0, order);
      const kept = remember("epsilon", known.slice(0, order - 1));
      if (sigmaNext === 0) return { latents: eulerStep(x, newest, -sigma), memory: kept };
      const used = known.slice(0, lowersFinal ? loweredOrder(order, step) : order);
      const nodes = used.map((_, age) => Math.log(sigmas[stepIndex - age]!));
      const weights = lagrangeWeights(nodes, moments(Math.log(sigmaNext / sigma), used.length));
      return {
        latents: lincomb([[1, x], ...used.map((e, i) => [sigma * weights[i]!, e] as const)]),
        memory: kept,
      };
    },
  };
}

/** `∫ v^k e^v dv` from 0 to `end` for k below `count`, by parts: with `sigma = e^v`, `dsigma = e^v dv`. */
function moments(end: number, count: number): number[] {
  const values = [Math.expm1(end)];
  for (let k = 1; k < count; k++) values.push(end ** k * Math.exp(end) - k * values[k - 1]!);
  return values;
}
