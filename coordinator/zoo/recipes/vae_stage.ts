/** The stage that trains the VAE, and how good its pictures are. @module */

import { join } from "node:path";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { vaeFactor } from "../../../shared/models/config/vae_config.ts";
import { vaeLossGraph } from "../../../shared/models/training/vae_loss.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { psnr } from "../../image/psnr.ts";
import { Vae } from "../../sampling/vae.ts";
import { seededNoise } from "../../training/seeded_draws.ts";
import { initialWeights } from "./initial_weights.ts";
import { writeModel } from "./model_folder.ts";
import { drawScenes, sceneAt, type SceneStream } from "./scene_images.ts";
import {
  partOf,
  runFolder,
  type StageContext,
  type StageEvent,
  type StageResult,
} from "./stage_context.ts";
import { trainModel } from "./train_model.ts";
import { type LossInputs, TrainableModel } from "./trainable_model.ts";

/** Pictures whose latents' deviation the scaling factor is taken from. */
const MEASURED = 256;
const BATCH = 32;

export function trainableVae({ recipe, compute }: StageContext): TrainableModel {
  const { configs: { vae }, imageSize } = recipe;
  const size = { batch: recipe.vae.microBatch, imageSize };
  const lossGraph = vaeLossGraph(vae, vaeFactor(vae), size);
  const model = new TrainableModel({ lossGraph, dataInputs: ["image", "noise"], compute });
  model.trained.set(initialWeights(model.trained.shapes, recipe.seed));
  return model;
}

/** Rows of the endless stream that the VAE is trained on. */
export function vaeInputs({ recipe }: StageContext, first: number): LossInputs {
  const { configs: { vae }, imageSize, seed, world } = recipe;
  const stream = { seed, name: "vae", world };
  const length = recipe.vae.microBatch;
  const scenes = Array.from({ length }, (_, i) => sceneAt(stream, first + i));
  const latentSize = imageSize / vaeFactor(vae);
  const shape = [length, vae.latentChannels, latentSize, latentSize];
  return {
    image: drawScenes(scenes, imageSize),
    noise: seededNoise(seed, ["vae noise", first], shape),
  };
}

export async function* trainVae(
  context: StageContext,
): AsyncGenerator<StageEvent, StageResult, void> {
  const { recipe, out, signal } = context;
  await using model = trainableVae(context);
  const { steps } = recipe.vae;
  const run = trainModel({
    ...recipe.vae,
    ...{ stage: "vae", model, folder: join(runFolder(context, "vae"), "checkpoints") },
    settings: { seed: String(recipe.seed), scale: recipe.scale },
    checkpointEvery: recipe.checkpointEvery,
    inputs: (first) => Promise.resolve().then(() => vaeInputs(context, first)),
    ...(signal && { signal }),
  });
  let next = await run.next();
  for (; !next.done; next = await run.next()) yield { event: "step", ...next.value, steps };
  const { losses, average } = next.value;

  // The factor is of the weights that are written, in f16: first with any, then with theirs.
  const part = partOf(recipe, "vae");
  const write = (folder: string, scalingFactor: number) =>
    writeModel(folder, [{
      part: { ...part, config: { ...part.config, scaling_factor: scalingFactor } },
      ...{ folder: "", weights: average.tensors },
    }]);
  const unscaled = join(runFolder(context, "vae"), "unscaled");
  await write(unscaled, 1);
  await write(join(out, "vae"), 1 / await latentDeviation(unscaled, context));
  await Deno.remove(unscaled, { recursive: true });
  const name = "PSNR of held-out pictures, dB";
  const quality: Record<string, number> = {
    [name]: await reconstruction(join(out, "vae"), context),
  };
  if (recipe.compareWith !== undefined) {
    const bundled = join(recipe.compareWith, "vae");
    quality["the same of the bundled VAE, dB"] = await reconstruction(bundled, context);
  }
  return { losses, quality };
}

/** Standard deviation of the latents of pictures that the VAE was trained on. */
async function latentDeviation(folder: string, { recipe, compute }: StageContext): Promise<number> {
  await using vae = new Vae(await openVae(folder), compute);
  const stream = { seed: recipe.seed, name: "vae", world: recipe.world };
  let [sum, squares, count] = [0, 0, 0];
  for await (const images of pictures(stream, MEASURED, recipe.imageSize)) {
    for (const value of (await vae.encode(images)).mean.data) {
      sum += value;
      squares += value * value;
      count++;
    }
  }
  return Math.sqrt(squares / count - (sum / count) ** 2);
}

/** PSNR of held-out pictures after encoding to the mean and decoding, in dB. */
async function reconstruction(folder: string, { recipe, compute }: StageContext): Promise<number> {
  await using vae = new Vae(await openVae(folder), compute);
  const stream = { seed: recipe.seed, name: "held out", world: recipe.world };
  const values: number[] = [];
  for await (const images of pictures(stream, recipe.heldOut, recipe.imageSize)) {
    const { mean } = await vae.encode(images);
    values.push(psnr(await vae.decode(lincomb([[vae.config.scalingFactor, mean]])), images));
  }
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function* pictures(stream: SceneStream, count: number, size: number) {
  for (let first = 0; first < count; first += BATCH) {
    const length = Math.min(BATCH, count - first);
    yield drawScenes(Array.from({ length }, (_, i) => sceneAt(stream, first + i)), size);
  }
}
