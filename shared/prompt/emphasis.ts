/**
 * What a prompt's weights do to the text states. This is the "Original" emphasis of stable-diffusion-webui: each
 * token's state is multiplied by the token's weight, and then the whole chunk is scaled so that the mean of
 * its L x D values is what it was before (one number for the chunk, BOS, EOS and padding included).
 * The webui computes that mean of every chunk by itself, and so do we. It has no theory behind it, but
 * people's prompts are tuned to it.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { f32, type F32Tensor } from "../tensor/tensor.ts";

/**
 * Weighs text states. Chunks without weights keep their bits; where there are no others, `states` is returned itself.
 *
 * @param states one chunk per row, f32 `[K, L, D]`
 * @param weights K lists of L weights
 * @returns f32 `[K, L, D]`
 * @throws {ShapeError} if there are not K times L weights
 */
export function emphasize(
  states: F32Tensor,
  weights: readonly (readonly number[])[],
): F32Tensor {
  const [count = 0, length = 0, width = 0] = states.shape;
  if (weights.length !== count || weights.some((row) => row.length !== length)) {
    throw new ShapeError(
      `Text states [${states.shape}] need ${count} times ${length} weights: current counts are ` +
        `[${weights.map((row) => row.length)}]`,
    );
  }
  if (weights.every(isNeutral)) return states;
  const result = f32(states.shape, states.data.slice());
  for (const [k, row] of weights.entries()) {
    if (isNeutral(row)) continue;
    const chunk = result.data.subarray(k * length * width, (k + 1) * length * width);
    const weighted = Float64Array.from(chunk, (x, i) => x * row[Math.floor(i / width)]!);
    const newMean = mean(weighted);
    // A mean of exactly 0 cannot be scaled to another one.
    const scale = newMean === 0 ? 1 : mean(chunk) / newMean;
    chunk.set(weighted.map((x) => x * scale));
  }
  return result;
}

function isNeutral(weights: readonly number[]): boolean {
  return weights.every((weight) => weight === 1);
}

function mean(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
