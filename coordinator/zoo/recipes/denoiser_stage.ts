/** The stages that train text encoder and U-Net: the base model on all of the world, then experts from it on parts. @module */

import { join } from "node:path";
import { modelHash, weightPaths } from "../../../shared/checkpoint/model_hash.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import { Vae } from "../../sampling/vae.ts";
import {
  DENOISER_PARTS,
  type DenoiserStage,
  denoiserWeights,
  recipeOf,
  stageStream,
  trainableDenoiser,
} from "./denoiser.ts";
import { DenoiserRows } from "./denoiser_rows.ts";
import { heldOutLoss } from "./held_out_loss.ts";
import { type TrainedPart, withoutPrefix, writeModel } from "./model_folder.ts";
import { sceneLatents } from "./scene_latents.ts";
import {
  partOf,
  type Quality,
  runFolder,
  type StageContext,
  type StageEvent,
  type StageResult,
} from "./stage_context.ts";
import { trainModel } from "./train_model.ts";

export async function* trainDenoiser(
  context: StageContext,
  stage: DenoiserStage,
): AsyncGenerator<StageEvent, StageResult, void> {
  const { recipe, out, signal } = context;
  const settings = recipeOf(recipe, stage);
  await using model = trainableDenoiser(context, stage);
  if (stage !== "base") {
    const base = await denoiserWeights(recipe, join(out, "base"));
    model.trained.set(base);
    model.frozen.set(base);
  }
  const { rows, vaeHash } = yield* prepareRows(context, stage);
  const { steps, microBatch, dropText, pictures } = settings;
  const run = trainModel({
    ...settings,
    ...{ stage, model, folder: join(runFolder(context, stage), "checkpoints") },
    settings: {
      ...{ seed: String(recipe.seed), scale: recipe.scale, pictures, dropText, vae: vaeHash },
      ...(stage !== "base" &&
        { base: await modelHash([join(out, "base", "unet", partOf(recipe, "unet").file)]) }),
    },
    checkpointEvery: recipe.checkpointEvery,
    inputs: (first) =>
      Promise.resolve().then(() => rows.training(stage, first, microBatch, dropText)),
    ...(signal && { signal }),
  });
  let next = await run.next();
  for (; !next.done; next = await run.next()) yield { event: "step", ...next.value, steps };
  const { losses, average } = next.value;
  const weights = new Map([...average.tensors, ...model.frozen.tensors]);
  await writeModel(
    join(out, stage),
    DENOISER_PARTS.map((name): TrainedPart => ({
      ...{ part: partOf(recipe, name), folder: name, weights: withoutPrefix(name, weights) },
    })),
  );
  return { losses, quality: await measure(context, stage) };
}

/** Latents of the stage's scenes, which later runs find again. */
async function* prepareRows(
  context: StageContext,
  stage: DenoiserStage,
): AsyncGenerator<StageEvent, { readonly rows: DenoiserRows; readonly vaeHash: string }, void> {
  const { recipe, out, compute, tokenizer, signal } = context;
  const { configs: { text, unet }, imageSize, seed } = recipe;
  const folder = runFolder(context, stage);
  await Deno.mkdir(folder, { recursive: true });
  const { pictures } = recipeOf(recipe, stage);
  const vaePart = await openVae(join(out, "vae"));
  const vaeHash = await modelHash(weightPaths(vaePart.weights));
  await using vae = new Vae(vaePart, compute);
  yield { event: "prepare", what: "Encoding pictures", done: 0, total: pictures };
  const scenes = await sceneLatents(stageStream(recipe, stage, "train"), pictures, {
    ...{ vae, tokenizer, maxLength: text.maxLength, imageSize },
    file: join(folder, `latents-${vaeHash.slice(0, 12)}.safetensors`),
    ...(signal && { signal }),
  });
  yield { event: "prepare", what: "Encoding pictures", done: pictures, total: pictures };
  const emptyIds = encodePrompt(tokenizer, "", text.maxLength).inputIds;
  return { rows: new DenoiserRows({ ...scenes, unet, emptyIds, seed }), vaeHash };
}

/** Held-out losses of the stage's part of the world, each with the VAE that its model was trained with, at the same draws. */
async function measure(context: StageContext, stage: DenoiserStage): Promise<Quality> {
  const { out, recipe: { compareWith } } = context;
  const ownVae = join(out, "vae");
  const loss = (model: string, vae = ownVae) => heldOutLoss(context, { model, vae, stage });
  const quality: Record<string, number> = { "held-out loss": await loss(join(out, stage)) };
  if (stage === "base") return quality;
  quality["the same of base"] = await loss(join(out, "base"));
  if (compareWith !== undefined) {
    const bundled = await loss(join(compareWith, stage), join(compareWith, "vae"));
    quality["the same of the bundled expert and VAE"] = bundled;
  }
  return quality;
}
