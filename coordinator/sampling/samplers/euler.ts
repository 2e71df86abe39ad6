/** Euler's method on the probability-flow ODE (Karras et al. 2022, Algorithm 2 without churn). @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Solver } from "./sigma_sampler.ts";

export const EULER: Solver = {
  calls: ({ sigma }) => [{ sigma }],
  step: ({ x, denoised, sigma, sigmaNext }) => ({
    latents: eulerStep(x, derivative(x, denoised, sigma), sigmaNext - sigma),
    memory: {},
  }),
};

/** `dx/dsigma = (x - D(x; sigma)) / sigma` (Eq. 3) */
export function derivative(x: F32Tensor, denoised: F32Tensor, sigma: number): F32Tensor {
  return lincomb([[1 / sigma, x], [-1 / sigma, denoised]]);
}

/** `x + dt d` */
export function eulerStep(x: F32Tensor, d: F32Tensor, dt: number): F32Tensor {
  return lincomb([[1, x], [dt, d]]);
}
