/**
 * UniPC (Zhao et al. 2023, Algorithms 7 and 8 with data prediction; diffusers `scheduling_unipc_multistep.py`). The latents after a step
 * are the predictor's. The evaluation there serves twice: first it corrects that step, from where it began, then the next one is
 * predicted from the corrected latents.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { recall, remember } from "./multistep.ts";
import type { Solver, SolverStep } from "./sigma_sampler.ts";

export interface UniPcOptions {
  /** @default 2 */
  readonly order?: 1 | 2 | 3;
  /** The function B(h): h, or e^h - 1 (there with h negative, as for data prediction). @default "bh2" */
  readonly variant?: "bh1" | "bh2";
  /** Whether the last steps are of lower order, however many there are. @default true */
  readonly lowersFinal?: boolean;
}

export function uniPc(
  { order = 2, variant = "bh2", lowersFinal = true }: UniPcOptions = {},
): Solver {
  const orderOf = ({ sigmas, stepIndex }: SolverStep, known: number) =>
    Math.min(order, known, lowersFinal ? sigmas.length - 1 - stepIndex : order);
  return {
    calls: ({ sigma }) => [{ sigma }],
    step({ x, denoised, memory, ...step }) {
      const { sigmas, stepIndex, sigmaNext } = step;
      const earlier = recall(memory, "denoised");
      const { corrected: start } = memory;
      const previous = { ...step, ...stepAt(sigmas, stepIndex - 1) };
      const corrected = start && earlier.length > 0
        ? correct(start, denoised, earlier.slice(0, orderOf(previous, earlier.length)), previous)
        : x;
      const known = [denoised, ...earlier].slice(0, order);
      const latents = sigmaNext === 0
        ? denoised
        : predict(corrected, known.slice(0, orderOf(step, known.length)), step);
      return { latents, memory: { corrected, ...remember("denoised", known) } };
    },
  };

  /** UniP: the step with as many earlier estimates as its order. */
  function predict(x: F32Tensor, known: readonly F32Tensor[], step: SolverStep): F32Tensor {
    const { ratios, base, scale, right } = expansion(x, known, step);
    const inner = ratios.slice(0, -1);
    // The second order weighs its one difference by 1/2, to which B(h) brings it near enough.
    const weights = known.length === 2 ? [0.5] : solveVandermonde(inner, right.slice(0, -1));
    return addDifferences(base, known, { ratios, weights, scale });
  }

  /** UniC: the same step once more, with the estimate at its end. */
  function correct(
    x: F32Tensor,
    atEnd: F32Tensor,
    known: readonly F32Tensor[],
    step: SolverStep,
  ): F32Tensor {
    const { ratios, base, scale, right } = expansion(x, known, step);
    const weights = known.length === 1 ? [0.5] : solveVandermonde(ratios, right);
    const values = [...known, atEnd];
    return addDifferences(base, values, { ratios, weights, scale });
  }

  /** What predictor and corrector share: the first-order step, B(h), and the system that the weights solve. */
  function expansion(x: F32Tensor, known: readonly F32Tensor[], step: SolverStep) {
    const { sigmas, stepIndex, sigma, sigmaNext } = step;
    const h = Math.log(sigma / sigmaNext);
    const phi1 = Math.expm1(-h);
    const scale = variant === "bh1" ? -h : phi1;
    const ages = known.slice(1).map((_, i) => i + 1);
    const ratios = [...ages.map((age) => Math.log(sigma / sigmas[stepIndex - age]!) / h), 1];
    let phi = phi1 / -h - 1;
    let factorial = 1;
    const right = ratios.map((_, i) => {
      const value = phi * factorial / scale;
      factorial *= i + 2;
      phi = phi / -h - 1 / factorial;
      return value;
    });
    return { ratios, scale, right, base: [[sigmaNext / sigma, x], [-phi1, known[0]!]] as const };
  }
}

/** `base - scale sum_k weight_k (value_k - value_0) / ratio_k` */
function addDifferences(
  base: readonly (readonly [number, F32Tensor])[],
  [origin, ...others]: readonly F32Tensor[],
  { ratios, weights, scale }: {
    readonly ratios: readonly number[];
    readonly weights: readonly number[];
    readonly scale: number;
  },
): F32Tensor {
  const terms = others.flatMap((value, k) => {
    const factor = scale * weights[k]! / ratios[k]!;
    return [[-factor, value], [factor, origin!]] as const;
  });
  return lincomb([...base, ...terms]);
}

function stepAt(sigmas: readonly number[], stepIndex: number) {
  return { stepIndex, sigma: sigmas[stepIndex]!, sigmaNext: sigmas[stepIndex + 1]! };
}

/** Solves `sum_k nodes_k^i w_k = right_i` for w, by elimination; there are three unknowns at most. */
function solveVandermonde(nodes: readonly number[], right: readonly number[]): number[] {
  const rows = right.map((value, i) => [...nodes.map((node) => node ** i), value]);
  for (const [i, pivot] of rows.entries()) {
    for (const other of rows.slice(i + 1)) {
      const factor = other[i]! / pivot[i]!;
      pivot.forEach((value, k) => other[k]! -= factor * value);
    }
  }
  const solution: number[] = [];
  for (const [i, row] of [...rows.entries()].reverse()) {
    const known = solution.reduce((sum, w, k) => sum + row[i + 1 + k]! * w, 0);
    solution.unshift((row.at(-1)! - known) / row[i]!);
  }
  return solution;
}
