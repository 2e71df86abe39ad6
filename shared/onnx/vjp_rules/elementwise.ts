/** Derivatives of elementwise operations. @module */

import { DTYPES } from "../../tensor/dtype.ts";
import { Add, Cast, Div, Erf, Exp, Mul, Sub } from "../ops/elementwise.ts";
import { scalar, unbroadcast, type VjpRule } from "./rule.ts";

export const add: VjpRule = (g, { inputs: [a, b] }, [dy]) => [
  () => unbroadcast(g, dy, a!),
  () => unbroadcast(g, dy, b!),
];

export const sub: VjpRule = (g, { inputs: [a, b] }, [dy]) => [
  () => unbroadcast(g, dy, a!),
  () => unbroadcast(g, Mul(g, dy, scalar(g, -1, dy)), b!),
];

export const mul: VjpRule = (g, { inputs: [a, b] }, [dy]) => [
  () => unbroadcast(g, Mul(g, dy, b!), a!),
  () => unbroadcast(g, Mul(g, dy, a!), b!),
];

/** y = a / b: da = dy / b, db = -dy y / b. */
export const div: VjpRule = (g, { inputs: [a, b], outputs: [y] }, [dy]) => [
  () => unbroadcast(g, Div(g, dy, b!), a!),
  () => unbroadcast(g, Mul(g, Div(g, Mul(g, dy, y!), b!), scalar(g, -1, dy)), b!),
];

/** s' = s (1 - s), as s - s^2. */
export const sigmoid: VjpRule = (g, { outputs: [s] }, [dy]) => [
  () => Mul(g, dy, Sub(g, s!, Mul(g, s!, s!))),
];

export const exp: VjpRule = (g, { outputs: [y] }, [dy]) => [() => Mul(g, dy, y!)];

/** y' = 1 / (2 y). */
export const sqrt: VjpRule = (g, { outputs: [y] }, [dy]) => [
  () => Div(g, Mul(g, dy, scalar(g, 0.5, dy)), y!),
];

/**
 * y = x Phi(x), with Phi the normal distribution: y' = Phi(x) + x phi(x)
 * = (1 + erf(u) + 2 / sqrt(pi) u exp(-u^2)) / 2 with u = x / sqrt(2).
 */
export const gelu: VjpRule = (g, { inputs: [x] }, [dy]) => [() => {
  const constant = (value: number) => scalar(g, value, dy);
  const u = Mul(g, x!, constant(Math.SQRT1_2));
  // The factor goes into the exponent, and the half into the cotangent: one pass over the elements less each.
  const exponent = Sub(g, constant(Math.log(2 / Math.sqrt(Math.PI))), Mul(g, u, u));
  const twice = Add(g, Add(g, Erf(g, u), Mul(g, u, Exp(g, exponent))), constant(1));
  return Mul(g, Mul(g, dy, constant(0.5)), twice);
}];

export const cast: VjpRule = (g, { inputs: [x] }, [dy]) => [
  () => Cast(g, dy, x!.dtype, DTYPES[x!.dtype].onnx),
];

export const identity: VjpRule = (_g, _node, [dy]) => [() => dy];
