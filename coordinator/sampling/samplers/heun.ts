/** Heun's method (Karras et al. 2022, Algorithm 1 without churn): two evaluations a step, one in the step to 0. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative, eulerStep } from "./euler.ts";
import type { Solver } from "./sigma_sampler.ts";

export const HEUN: Solver = {
  calls: ({ sigma, sigmaNext }) =>
    sigmaNext === 0 ? [{ sigma }] : [{ sigma }, { sigma: sigmaNext }],
  step({ x, denoised, memory, sigma, sigmaNext, call }) {
    const dt = sigmaNext - sigma;
    if (call === 0) {
      const d = derivative(x, denoised, sigma);
      const memory = sigmaNext === 0 ? {} : { start: x, derivative: d };
      return { latents: eulerStep(x, d, dt), memory };
    }
    const { start, derivative: d } = memory;
    const dNext = derivative(x, denoised, sigmaNext);
    return { latents: lincomb([[1, start!], [dt / 2, d!], [dt / 2, dNext]]), memory: {} };
  },
};
