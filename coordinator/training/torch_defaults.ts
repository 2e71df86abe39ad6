/** What torch's layers hold before training. @module */

import { elementCount, f32, type F32Tensor, type Shape } from "../../shared/tensor/tensor.ts";
import type { SeededDraws } from "./seeded_draws.ts";

/**
 * Norms 1 and 0; Linear and Conv2d, weights and biases, uniform within one over the root of the layer's inputs.
 *
 * @param shapes of all tensors: a bias follows from its weight's
 */
export function torchDefault(
  key: string,
  shapes: ReadonlyMap<string, Shape>,
  draws: SeededDraws,
): F32Tensor {
  const value = f32(shapes.get(key)!);
  const weight = shapes.get(key.replace(/bias$/, "weight"))!;
  const isNorm = weight.length === 1;
  if (isNorm) {
    if (key.endsWith("weight")) value.data.fill(1);
    return value;
  }
  const bound = 1 / Math.sqrt(elementCount(weight.slice(1)));
  for (let i = 0; i < value.data.length; i++) value.data[i] = bound * (2 * draws.uniform() - 1);
  return value;
}
