/**
 * The network that predicts best where the data are Gaussian, in closed form: with it a sampler's trajectory is known to every
 * digit, and no rounding of timesteps enters.
 *
 * @module
 */

import { makeTensor, type Tensor } from "../../../shared/tensor/tensor.ts";

/** Means and deviations of the data, one of each per element. */
export interface GaussianData {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export interface IdealPrediction {
  readonly epsilon: number;
  readonly velocity: number;
}

/** For `x = sqrt(abar) x_0 + sqrt(1 - abar) z`, which is `x_0 + sigma z` times `sqrt(abar)`. */
export function idealPrediction(
  { mean, std }: GaussianData,
  x: ArrayLike<number>,
  alphaBar: number,
): IdealPrediction[] {
  const [signal, noise] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  return Array.from(x, (value, i) => {
    const variance = alphaBar * std[i]! ** 2 + noise ** 2;
    const epsilon = noise * (value - signal * mean[i]!) / variance;
    const clean = (signal * std[i]! ** 2 * value + noise ** 2 * mean[i]!) / variance;
    return { epsilon, velocity: signal * epsilon - noise * clean };
  });
}

/** The predictions in the dtype and shape of the network's input. */
export function likeInput<D extends "float32" | "float64">(
  { dtype, shape, data }: Tensor<D>,
  values: readonly number[],
): Tensor<D> {
  const copy = data.slice() as Float32Array | Float64Array;
  copy.set(values);
  return makeTensor(dtype, shape, copy as Tensor<D>["data"]);
}
