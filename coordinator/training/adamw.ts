/**
 * AdamW (Loshchilov and Hutter 2019) as torch computes it: bias-corrected moments, and a decay that does not pass through them.
 *
 * @module
 */

import { ShapeError } from "../../shared/errors.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";

export interface AdamwOptions {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
}

/** The paper's: torch's defaults, at a learning rate of 1e-4. */
export const ADAMW_DEFAULTS: AdamwOptions = {
  learningRate: 1e-4,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
};

/** Running means of a parameter's gradient and of its square, f32 in the parameter's shape. */
export interface Moments {
  readonly first: F32Tensor;
  readonly second: F32Tensor;
}

export interface AdamwUpdate extends Moments {
  readonly parameter: F32Tensor;
}

/** Before the first update. */
export function zeroMoments({ shape }: F32Tensor): Moments {
  return { first: f32(shape), second: f32(shape) };
}

/**
 * One update of one parameter, in new memory; computed in f64, rounded once.
 *
 * @param update its number, 1 for the first
 * @throws {ShapeError} if the gradient or the moments do not have as many elements as the parameter
 */
export function adamw(
  parameter: F32Tensor,
  gradient: F32Tensor,
  { first, second }: Moments,
  update: number,
  options: AdamwOptions = ADAMW_DEFAULTS,
): AdamwUpdate {
  const { shape } = parameter;
  for (const other of [gradient, first, second]) {
    if (other.shape.join() !== shape.join()) {
      throw new ShapeError(
        `AdamW needs gradients and moments in the parameter's shape [${shape}]: current shape is [${other.shape}]`,
      );
    }
  }
  const next = {
    parameter: f32(shape, parameter.data.slice()),
    first: f32(shape, first.data.slice()),
    second: f32(shape, second.data.slice()),
  };
  const [values, m, v] = [next.parameter.data, next.first.data, next.second.data];
  adamwInPlace(
    { parameter: values, gradient: gradient.data, first: m, second: v },
    update,
    options,
  );
  return next;
}

/** Arrays of one length, of which an update writes all but the gradient. */
export interface AdamwArrays {
  readonly parameter: Float32Array;
  readonly gradient: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** The same update where the old values are; for all parameters of a model at once. */
export function adamwInPlace(
  { parameter, gradient, first, second }: AdamwArrays,
  update: number,
  { learningRate, weightDecay, beta1, beta2, epsilon }: AdamwOptions = ADAMW_DEFAULTS,
): void {
  const kept = 1 - learningRate * weightDecay;
  const stepSize = learningRate / (1 - beta1 ** update);
  const rootOfCorrection = Math.sqrt(1 - beta2 ** update);
  for (let i = 0; i < gradient.length; i++) {
    const g = gradient[i]!;
    const m = beta1 * first[i]! + (1 - beta1) * g;
    const v = beta2 * second[i]! + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = kept * parameter[i]! -
      stepSize * m / (Math.sqrt(v) / rootOfCorrection + epsilon);
  }
}
