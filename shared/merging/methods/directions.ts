/**
 * Methods that weigh tensors by the angle between them: a tensor is one vector, however many axes it has.
 *
 * @module
 */

import { combine, inStep, type Values } from "../values.ts";
import { weightedSum } from "./sums.ts";

/** Above this cosine the arc is a straight line within rounding, and the formula below divides by nearly 0. */
const PARALLEL = 0.9995;

/**
 * Spherical linear interpolation: `sin((1 - alpha) W) / sin W A + sin(alpha W) / sin W B`, with `W` the angle between A
 * and B (Shoemake 1985, "Animating Rotation with Quaternion Curves"). Between nearly parallel or opposite tensors the arc
 * is no better defined than the straight line, which is taken instead; zeros count as perpendicular to everything.
 */
export function slerp([a, b]: readonly Values[], { alpha }: { readonly alpha: number }): Values {
  if (alpha === 0 || alpha === 1) return weightedSum([a!, b!], { alpha });
  const cosine = cosineOf(gram([a!, b!]), 0, 1);
  if (Math.abs(cosine) > PARALLEL) return weightedSum([a!, b!], { alpha });
  const angle = Math.acos(cosine);
  const [partOfA, partOfB] = [
    Math.sin((1 - alpha) * angle) / Math.sin(angle),
    Math.sin(alpha * angle) / Math.sin(angle),
  ];
  return combine([a!, b!], (out, [a, b]) => {
    for (let i = 0; i < out.length; i++) out[i] = partOfA * a![i]! + partOfB * b![i]!;
  });
}

/**
 * Model Stock (Jang et al. 2024, arXiv 2403.19522): the first model is the one that the others were trained from. The
 * result is that model plus `t` times the mean of the N differences from it, `t = N cos / (1 + (N - 1) cos)`, with `cos`
 * the mean cosine between two differences: the better they agree, the more of their mean is kept. Differences that point
 * away from each other on average (`cos` below 0) agree in nothing, so nothing is added.
 */
export function modelStock([base, ...tuned]: readonly Values[]): Values {
  const count = tuned.length;
  const differences = tuned.map((model) => difference(model, base!));
  const products = gram(differences);
  const cosines: number[] = [];
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) cosines.push(cosineOf(products, i, j));
  }
  const cosine = Math.max(0, cosines.reduce((sum, next) => sum + next, 0) / cosines.length);
  const ratio = count * cosine / (1 + (count - 1) * cosine);
  if (ratio === 0) return base!;
  return combine([base!, ...tuned], (out, [base, ...tuned]) => {
    out.fill(0);
    for (const model of tuned) {
      for (let i = 0; i < out.length; i++) out[i]! += model[i]! - base![i]!;
    }
    for (let i = 0; i < out.length; i++) out[i] = base![i]! + ratio * (out[i]! / count);
  });
}

function difference(a: Values, b: Values): Values {
  return combine([a, b], (out, [a, b]) => {
    for (let i = 0; i < out.length; i++) out[i] = a![i]! - b![i]!;
  });
}

/** Every inner product of two of the tensors: `[i][j]` for `i <= j`. */
function gram(tensors: readonly Values[]): readonly (readonly number[])[] {
  const sums = tensors.map(() => tensors.map(() => 0));
  for (const pieces of inStep(tensors)) {
    for (let i = 0; i < tensors.length; i++) {
      for (let j = i; j < tensors.length; j++) sums[i]![j]! += innerProduct(pieces[i]!, pieces[j]!);
    }
  }
  return sums;
}

function innerProduct(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** A tensor of zeros has no direction: its cosine with any other counts as 0. */
function cosineOf(products: readonly (readonly number[])[], i: number, j: number): number {
  const norms = Math.sqrt(products[i]![i]!) * Math.sqrt(products[j]![j]!);
  return norms === 0 ? 0 : Math.min(1, Math.max(-1, products[i]![j]! / norms));
}
