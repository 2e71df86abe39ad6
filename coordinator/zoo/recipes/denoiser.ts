/** Text encoder and U-Net as one model to train or to measure, and the part of the world that each of them learns. @module */

import { join } from "node:path";
import { vaeFactor } from "../../../shared/models/config/vae_config.ts";
import { denoiserLossGraph } from "../../../shared/models/training/denoiser_loss.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { DENOISER_INPUTS } from "./denoiser_rows.ts";
import { initialWeights } from "./initial_weights.ts";
import { readWeights, withPrefix } from "./model_folder.ts";
import { type DenoiserRecipe, EXPERT_SHAPES, type ExpertName, type ZooRecipe } from "./recipe.ts";
import type { SceneStream } from "./scene_images.ts";
import { partOf, type StageContext } from "./stage_context.ts";
import { TrainableModel } from "./trainable_model.ts";

export type DenoiserStage = "base" | ExpertName;

/** Folders of a denoiser; in the keys of `denoiserLossGraph()` they stand before a point. */
export const DENOISER_PARTS = ["unet", "text_encoder"] as const;

export const recipeOf = (recipe: ZooRecipe, stage: DenoiserStage): DenoiserRecipe =>
  stage === "base" ? recipe.base : recipe.expert;

/** With initial weights; an expert's text encoder stays as it is. */
export function trainableDenoiser(
  { recipe, compute }: StageContext,
  stage: DenoiserStage,
): TrainableModel {
  const { configs: { unet, text, vae }, imageSize } = recipe;
  const latentSize = imageSize / vaeFactor(vae);
  const lossGraph = denoiserLossGraph({ unet, text }, {
    batch: recipeOf(recipe, stage).microBatch,
    latentSize,
  });
  const model = new TrainableModel({
    ...{ lossGraph, dataInputs: DENOISER_INPUTS, compute },
    ...(stage !== "base" && { isFrozen: (key: string) => key.startsWith("text_encoder.") }),
  });
  for (const weights of [model.trained, model.frozen]) {
    weights.set(initialWeights(weights.shapes, recipe.seed));
  }
  return model;
}

/** The part of the world that a stage learns. */
export function stageStream(
  { seed, world }: ZooRecipe,
  stage: DenoiserStage,
  name: string,
): SceneStream {
  const isBase = stage === "base";
  return {
    seed,
    name: `${name} ${stage}`,
    world: isBase ? world : { ...world, shapes: EXPERT_SHAPES[stage] },
  };
}

/** Weights of a model's folder under the keys of `denoiserLossGraph()`. */
export async function denoiserWeights(
  recipe: ZooRecipe,
  folder: string,
): Promise<ReadonlyMap<string, F32Tensor>> {
  const parts = await Promise.all(
    DENOISER_PARTS.map(async (name) =>
      withPrefix(name, await readWeights(join(folder, name), partOf(recipe, name)))
    ),
  );
  return new Map(parts.flatMap((part) => [...part]));
}
