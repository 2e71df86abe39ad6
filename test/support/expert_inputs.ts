/**
 * Inputs that fit any expert, made from its description: pseudo-random, the same at every run.
 *
 * @module
 */

import { firstText } from "../../shared/engine/choose_text.ts";
import type {
  CommonSessionConfig,
  Expert,
  ExpertDescription,
  SessionConfig,
} from "../../shared/engine/expert.ts";
import { f32, type F32Tensor, i64, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";

/** Values in -1..1 from a linear congruence (the constants of Numerical Recipes). */
export function randomTensor(shape: Shape, seed: number): F32Tensor {
  const tensor = f32(shape);
  let state = seed >>> 0;
  for (let i = 0; i < tensor.data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    tensor.data[i] = state / 2 ** 31 - 1;
  }
  return tensor;
}

/** Two prompts as ids: a guidance batch. */
export function promptIds(description: ExpertDescription): Tensor<"int64"> {
  const { maxLength, bosTokenId, eosTokenId, padTokenId } = firstText(description);
  const row = (words: readonly number[]) =>
    [bosTokenId, ...words, eosTokenId, ...new Array(maxLength).fill(padTokenId)]
      .slice(0, maxLength);
  return i64([2, maxLength], [...row([]), ...row([5, 17, 3])]);
}

/** A guidance batch of one image, three steps. */
export async function sessionConfig(expert: Expert, size = 8): Promise<CommonSessionConfig> {
  const { lastHiddenState } = await expert.encodeText(promptIds(expert.description));
  return {
    batch: 2,
    height: size,
    width: size,
    encoderHiddenStates: lastHiddenState,
    timesteps: [901, 501, 1],
  };
}

/** Latents for a config, f32 `[B, C, H, W]`. */
export function latentsFor(
  { latentChannels }: ExpertDescription,
  { batch, height, width }: SessionConfig,
  seed = 1,
): F32Tensor {
  return randomTensor([batch, latentChannels, height, width], seed);
}
