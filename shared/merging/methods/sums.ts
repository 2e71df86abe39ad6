/**
 * Methods whose result is a weighted sum of the models. Formulas and the order of their operations are supermerger's
 * (https://github.com/hako-mikan/sd-webui-supermerger).
 *
 * @module
 */

import { combine, type Values } from "../values.ts";

/** `(1 - alpha) A + alpha B` */
export function weightedSum([a, b]: readonly Values[], { alpha }: { readonly alpha: number }) {
  return linearSum([[1 - alpha, a!], [alpha, b!]]);
}

/** `(1 - beta) ((1 - alpha) A + alpha B) + beta C` */
export function sumTwice(
  [a, b, c]: readonly Values[],
  { alpha, beta }: { readonly alpha: number; readonly beta: number },
) {
  return weightedSum([weightedSum([a!, b!], { alpha }), c!], { alpha: beta });
}

/** `(1 - alpha - beta) A + alpha B + beta C` */
export function tripleSum(
  models: readonly Values[],
  { alpha, beta }: { readonly alpha: number; readonly beta: number },
) {
  return mergeBlockWeighted(models, { mbw: [alpha, beta] });
}

/** `sum_i w_i M_i` */
export function weights(
  models: readonly Values[],
  { weights }: { readonly weights: readonly number[] },
) {
  return linearSum(models.map((model, i) => [weights[i]!, model]));
}

/**
 * MBW: every model after the first has a share of its own in each block, and the first has what is left. One number per
 * other model arrives here: its share in the block of this tensor.
 */
export function mergeBlockWeighted(
  [first, ...others]: readonly Values[],
  { mbw }: { readonly mbw: readonly number[] },
) {
  const rest = mbw.reduce((left, share) => left - share, 1);
  return linearSum([[rest, first!], ...others.map((model, i) => [mbw[i]!, model] as const)]);
}

/**
 * The sum of terms, from left to right. A term of weight 0 is left out, and a single one of weight 1 is the tensor
 * itself: so the ends of a scale are the models bit for bit, whatever infinities the others hold.
 */
function linearSum(terms: readonly (readonly [number, Values])[]): Values {
  const present = terms.filter(([weight]) => weight !== 0);
  if (present.length === 0) return linearSum([[1, zeros(terms[0]![1])]]);
  if (present.length === 1 && present[0]![0] === 1) return present[0]![1];
  const factors = present.map(([weight]) => weight);
  return combine(present.map(([, values]) => values), (out, inputs) => {
    inputs.forEach((input, term) => {
      const weight = factors[term]!;
      if (term === 0) { for (let i = 0; i < out.length; i++) out[i] = weight * input[i]!; }
      else for (let i = 0; i < out.length; i++) out[i]! += weight * input[i]!;
    });
  });
}

function zeros(like: Values): Values {
  return combine([like], (out) => void out.fill(0));
}
