/** What one expert alone makes of noisy latents. @module */

import type { Expert } from "../../shared/engine/expert.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { aggregationPlan } from "../sampling/aggregation_plan.ts";
import { addedCondOf } from "../sampling/conditioning.ts";
import { EnsembleSession } from "../sampling/session/ensemble_session.ts";
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
  const addedCond = addedCondOf(embeds[index]!, batch, imageSize);
  const own = { encoderHiddenStates: embeds[index]!.promptEmbeds, ...(addedCond && { addedCond }) };
  const conditioning = { experts: [own] };
  await using session = await EnsembleSession.open([expert], conditioning, {
    height,
    width,
    timesteps: timesteps.slice(0, 1),
    ...(signal && { signal }),
  });
  const [noise] = await session.predictNoise({
    latentModelInput: latents,
    index: 0,
    segments: aggregationPlan(expert.description.blocks, "noise"),
    ...(signal && { signal }),
  });
  return noise!;
}
