/** What one expert alone makes of noisy latents. @module */

import type { Expert } from "../../shared/engine/expert.ts";
import { copyTensor, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { addedCondOf } from "../sampling/conditioning.ts";
import type { NoisyBatch } from "./batch_pass.ts";

/**
 * In one session, so a worker takes one round trip.
 *
 * @param batch whose rows have one timestep in common
 * @param index of the expert in `batch.embeds`
 * @returns f32 `[B, 4, H, W]`
 */
export async function noisePrediction(
  expert: Expert,
  { latents, timesteps, embeds, imageSize }: NoisyBatch,
  index: number,
  signal?: AbortSignal,
): Promise<F32Tensor> {
  const [batch = 0, , height = 0, width = 0] = latents.shape;
  const { blocks } = expert.description;
  const addedCond = addedCondOf(embeds[index]!, batch, imageSize);
  const session = await expert.openSession({
    ...{ batch, height, width, timesteps: timesteps.slice(0, 1) },
    encoderHiddenStates: embeds[index]!.promptEmbeds,
    ...(addedCond && { addedCond }),
  }, signal);
  try {
    const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
    const { hiddenStates } = await session.forward({ ...range, hiddenStates: latents }, signal);
    return copyTensor(hiddenStates);
  } finally {
    await session.close();
  }
}
