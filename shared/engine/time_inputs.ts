/**
 * Inputs of the time embedding: sinusoids of the timesteps and, for SDXL, the added conditioning (pooled text states and
 * sinusoids of six sizes; `docs/spec.md`, "SDXL").
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import { timestepEmbedding } from "../models/unet/time_embedding.ts";
import { checkTensor } from "../tensor/check.ts";
import { concatRows, f32, type F32Tensor, repeatRows, sliceRows } from "../tensor/tensor.ts";
import type { AddedCond } from "./expert.ts";

/** Original, crop and target sizes, two numbers each. */
export const TIME_IDS = 6;

/** P: what of the added conditioning is not the six sinusoids; 0 for a U-Net without it. */
export function pooledPromptDim({ addition }: UNetConfig): number {
  return addition ? addition.inputDim - TIME_IDS * addition.timeEmbedDim : 0;
}

/**
 * @returns `time_proj` f32 `[T, C0]`; with added conditioning f32 `[T B, C0]` and `added_cond` f32 `[T B, P + 6 E]`
 * @throws {ShapeError} if SDXL's conditioning is missing, mis-shaped, or given to another family
 */
export function timeEmbeddingInputs(
  config: UNetConfig,
  timesteps: readonly number[],
  addedCond: AddedCond | undefined,
): { readonly time_proj: F32Tensor; readonly added_cond?: F32Tensor } {
  const time_proj = timestepEmbedding(timesteps, config.blockOutChannels[0]!, config);
  if (!config.addition) {
    if (addedCond) {
      throw new ShapeError("added_cond must not be given: this U-Net has no size conditioning");
    }
    return { time_proj };
  }
  if (!addedCond) {
    throw new ShapeError("added_cond must be given: this U-Net has size conditioning (SDXL)");
  }
  const rows = addedCondRows(config, addedCond);
  const batch = rows.shape[0]!;
  const steps = timesteps.map((_, i) => sliceRows(time_proj, i, i + 1));
  return {
    time_proj: concatRows(steps.map((step) => repeatRows(step, batch))),
    added_cond: repeatRows(rows, timesteps.length),
  };
}

/** `[pooled, sinusoid(timeIds[0]), .., sinusoid(timeIds[5])]` per row, f32 `[B, P + 6 E]`. */
function addedCondRows(config: UNetConfig, { pooledPromptEmbeds, timeIds }: AddedCond): F32Tensor {
  const { inputDim, timeEmbedDim } = config.addition!;
  const pooledDim = pooledPromptDim(config);
  const batch = pooledPromptEmbeds.shape[0] ?? 0;
  checkTensor("pooled_prompt_embeds", pooledPromptEmbeds, "float32", [batch, pooledDim]);
  checkTensor("time_ids", timeIds, "float32", [batch, TIME_IDS]);
  const sinusoids = timestepEmbedding([...timeIds.data], timeEmbedDim, config);
  const rows = f32([batch, inputDim]);
  for (let row = 0; row < batch; row++) {
    const pooled = pooledPromptEmbeds.data.subarray(row * pooledDim, (row + 1) * pooledDim);
    const size = TIME_IDS * timeEmbedDim;
    rows.data.set(pooled, row * inputDim);
    rows.data.set(
      sinusoids.data.subarray(row * size, (row + 1) * size),
      row * inputDim + pooledDim,
    );
  }
  return rows;
}
