/** Noise that is added before a step, so that the step begins higher (Karras et al. 2022, Algorithm 2). @module */

import type { Solver, SolverStep } from "./sigma_sampler.ts";

export interface Churn {
  /** S_churn: how much, over all steps. */
  readonly amount: number;
  /** S_tmax and S_tmin: the noise levels at which there is any. @default everywhere */
  readonly sigmaMax?: number;
  readonly sigmaMin?: number;
  /** S_noise: factor on the noise. @default 1 */
  readonly noiseScale?: number;
}

/** Takes one noise tensor every step, whether there is churn at its level or not, as k-diffusion does. */
export function withChurn(
  solver: Solver,
  { amount, sigmaMax = Infinity, sigmaMin = 0, noiseScale = 1 }: Churn,
): Solver {
  /** sigma of a step becomes `sigma (1 + gamma)`. */
  function raised<Step extends SolverStep>(step: Step): Step {
    const { sigma, sigmas } = step;
    const isWithin = sigmaMin <= sigma && sigma <= sigmaMax;
    const gamma = isWithin ? Math.min(amount / (sigmas.length - 1), Math.SQRT2 - 1) : 0;
    return { ...step, sigma: sigma * (1 + gamma) };
  }
  return {
    calls(step) {
      const higher = raised(step);
      const churn = noiseScale * Math.sqrt(higher.sigma ** 2 - step.sigma ** 2);
      return solver.calls(higher).map((call, index) =>
        index === 0 ? { ...call, churn, noiseCount: 1 + (call.noiseCount ?? 0) } : call
      );
    },
    step: (input) => solver.step(raised(input)),
  };
}
