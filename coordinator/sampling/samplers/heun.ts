/** Heun's method (Karras et al. 2022, Algorithm 1 without churn): two evaluations a step, one in the step to 0. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { derivative, eulerStep } from "./euler.ts";
import type { Solver } from "./sigma_sampler.ts";

export const HEUN: Solver = {
  calls: ({ sigma, sigmaNext }) =>
    sigmaNext === 0 ? [{ sigma }] : [{ sigma }, { sigma: sigmaNext }],
  step({ x, denoised, memory, sigma, sigmaNext, call, at }) {
    const dt = sigmaNext - sigma;
    const d = derivative(x, denoised, at);
    if (call === 0) {
      const memory = sigmaNext === 0 ? {} : { start: x, derivative: d };
      return { latents: eulerStep(x, d, dt), memory };
    }
    const { start, derivative: dStart } = memory;
    return { latents: lincomb([[1, start!], [dt / 2, dStart!], [dt / 2, d]]), memory: {} };
  },
};
