/** What solvers share that remember earlier steps: the memory itself, the order of a step, and differences over log sigma. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { SamplerState } from "./sampler.ts";
import type { SolverStep } from "./sigma_sampler.ts";

/** Where diffusers lowers the order of the last steps, so that few steps end calmly. */
const FEW_STEPS = 15;

/** The tensors kept under `NAME_1`, `NAME_2`, ...: the newest first. */
export function recall(memory: SamplerState["memory"], name: string): F32Tensor[] {
  const found: F32Tensor[] = [];
  for (let age = 1; memory[`${name}_${age}`]; age++) found.push(memory[`${name}_${age}`]!);
  return found;
}

/** The memory in which `recall()` finds these tensors, the newest first. */
export function remember(name: string, tensors: readonly F32Tensor[]): Record<string, F32Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`${name}_${i + 1}`, tensor]));
}

/** The order of a step of diffusers' multistep schedulers (`lower_order_final`): at most what is left of a run of few steps. */
export function loweredOrder(order: number, { sigmas, stepIndex }: SolverStep): number {
  const steps = sigmas.length - 1;
  return steps < FEW_STEPS ? Math.min(order, steps - stepIndex) : order;
}

/**
 * First and second divided differences of the values at this level and those before it, over `lambda = -log sigma`, times h and
 * h^2 where h is the length of the step: `D_1` and `D_2` of DPM-Solver++ (Lu et al. 2022, Appendix B; diffusers
 * `scheduling_dpmsolver_multistep.py`).
 *
 * @param values the newest first; two give `d1` only
 */
export function differences(
  values: readonly F32Tensor[],
  { sigmas, stepIndex, sigma, sigmaNext }: SolverStep,
): { readonly d1: F32Tensor; readonly d2: F32Tensor | undefined } {
  const h = Math.log(sigma / sigmaNext);
  const ratio = (age: number) =>
    Math.log(sigmas[stepIndex - age - 1]! / sigmas[stepIndex - age]!) / h;
  const difference = (age: number) =>
    lincomb([[1 / ratio(age), values[age]!], [-1 / ratio(age), values[age + 1]!]]);
  if (values.length < 3) return { d1: difference(0), d2: undefined };
  const [r0, r1] = [ratio(0), ratio(1)];
  const [newer, older] = [difference(0), difference(1)];
  const share = r0 / (r0 + r1);
  return {
    d1: lincomb([[1 + share, newer], [-share, older]]),
    d2: lincomb([[1 / (r0 + r1), newer], [-1 / (r0 + r1), older]]),
  };
}
