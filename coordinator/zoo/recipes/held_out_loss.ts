/** How well a denoiser predicts the noise of scenes that no stage saw, at draws of timestep and noise that never change. @module */

import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import { Vae } from "../../sampling/vae.ts";
import { average } from "../../training/held_out.ts";
import { type DenoiserStage, denoiserWeights, stageStream, trainableDenoiser } from "./denoiser.ts";
import { DenoiserRows } from "./denoiser_rows.ts";
import { sceneLatents } from "./scene_latents.ts";
import type { StageContext } from "./stage_context.ts";

export interface MeasuredDenoiser {
  /** Folder of U-Net and text encoder, of the recipe's sizes. */
  readonly model: string;
  /** Of the VAE that it was trained with. */
  readonly vae: string;
  /** Whose part of the world is measured. */
  readonly stage: DenoiserStage;
}

/** Mean over all held-out scenes, one draw each. */
export async function heldOutLoss(
  context: StageContext,
  { model: folder, vae: vaeFolder, stage }: MeasuredDenoiser,
): Promise<number> {
  const { recipe, tokenizer, compute, signal } = context;
  const { configs: { text, unet }, imageSize, seed } = recipe;
  await using model = trainableDenoiser(context, stage);
  const weights = await denoiserWeights(recipe, folder);
  model.trained.set(weights);
  model.frozen.set(weights);
  // Whole runs only.
  const count = Math.max(1, Math.round(recipe.heldOut / model.batch)) * model.batch;
  await using vae = new Vae(await openVae(vaeFolder), compute);
  const scenes = await sceneLatents(stageStream(recipe, stage, "held out"), count, {
    ...{ vae, tokenizer, maxLength: text.maxLength, imageSize },
    ...(signal && { signal }),
  });
  const emptyIds = encodePrompt(tokenizer, "", text.maxLength).inputIds;
  const rows = new DenoiserRows({ ...scenes, unet, emptyIds, seed });
  const losses: number[] = [];
  for (let first = 0; first < count; first += model.batch) {
    losses.push(...await model.losses(rows.heldOut(first, model.batch)));
  }
  return average(losses);
}
