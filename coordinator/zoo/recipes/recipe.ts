/**
 * What the zoo is made with: models, data, steps. The numbers of the bundled models (`shared/zoo/README.md`), with the model configs
 * read from their folders.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { FormatError, UsageError } from "../../../shared/errors.ts";
import { BUNDLED_ENSEMBLE, BUNDLED_EXPERT } from "../../../shared/project_files.ts";
import type { SabwSize } from "../../training/initial_sabw.ts";
import type { ModelConfigs } from "../model_configs.ts";
import type { SceneOptions, Shape } from "../shapes.ts";
import type { OptimizerSettings } from "./train_model.ts";

/** Where the models that come with Tutti lie. */
export const BUNDLED_ZOO: string = dirname(BUNDLED_ENSEMBLE);

/** In the order in which they are trained: each needs those before it. */
export const STAGES = ["vae", "base", "round", "square", "pointed", "sabw"] as const;

export type Stage = typeof STAGES[number];

/** Each expert's part of the world. */
export const EXPERT_SHAPES = {
  round: ["circle", "ring", "heart"],
  square: ["square", "diamond", "cross"],
  pointed: ["triangle", "star"],
} as const satisfies Record<string, readonly Shape[]>;

export type ExpertName = keyof typeof EXPERT_SHAPES;

export interface ModelRecipe extends OptimizerSettings {
  /** Rows that go through the model together: these many are the fastest, since their activations stay in the caches. */
  readonly microBatch: number;
}

export interface DenoiserRecipe extends ModelRecipe {
  /** Pictures whose latents are drawn from. */
  readonly pictures: number;
  /** Probability that a picture's text is dropped. */
  readonly dropText: number;
}

export interface SabwRecipe {
  readonly pictures: number;
  readonly holdOut: number;
  readonly steps: number;
  /** Updates at the end over which the rate falls. */
  readonly cooldown: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly size: SabwSize;
}

export interface ZooRecipe {
  readonly seed: bigint;
  /** Of every length below; 1 is the whole recipe. */
  readonly scale: number;
  readonly configs: ModelConfigs;
  /** Height and width of pictures, in pixels. */
  readonly imageSize: number;
  readonly world: SceneOptions;
  readonly vae: ModelRecipe;
  readonly base: DenoiserRecipe;
  readonly expert: DenoiserRecipe;
  readonly sabw: SabwRecipe;
  /** Pictures that no stage is trained on, to measure with. */
  readonly heldOut: number;
  /** Folder of a zoo of these sizes that the results are compared with. */
  readonly compareWith?: string;
  readonly checkpointEvery: number;
}

/** Two objects as often as the bundled experts' data has them, textures in half of the backgrounds. */
const WORLD: SceneOptions = { pairs: 0.6, textured: 0.5 };

/** @throws {UsageError} if the scale is not above 0 and at most 1 */
export async function zooRecipe(seed: bigint, scale: number): Promise<ZooRecipe> {
  if (!(scale > 0 && scale <= 1)) {
    throw new UsageError(`--scale must be above 0 and at most 1: current value is ${scale}`);
  }
  const scaled = (count: number, least = 1) => Math.max(least, Math.round(count * scale));
  const averaged = { averageDecay: 0.998 };
  const denoiser = { ...averaged, batch: 64, microBatch: 32, dropText: 0.1 };
  return {
    ...{ seed, scale, configs: await bundledConfigs(), imageSize: 64, world: WORLD },
    vae: { ...averaged, steps: scaled(1500), batch: 32, microBatch: 4, highestRate: 1.5e-3 },
    base: { ...denoiser, steps: scaled(4800), highestRate: 1.5e-3, pictures: scaled(20_000, 64) },
    expert: { ...denoiser, steps: scaled(900), highestRate: 5e-4, pictures: scaled(6000, 64) },
    sabw: {
      ...{ pictures: scaled(1000, 32), holdOut: scaled(64, 8), batch: 16 },
      ...{ steps: scaled(600), cooldown: scaled(200), learningRate: 1e-3 },
      ...{ size: { hiddenSize: 32, numLayers: 1, numHeads: 4 } },
    },
    heldOut: scaled(256, 64),
    compareWith: BUNDLED_ZOO,
    checkpointEvery: 100,
  };
}

async function bundledConfigs(): Promise<ModelConfigs> {
  const { unet, text } = await openCheckpoint(BUNDLED_EXPERT);
  if (!text) throw new FormatError(`Model "${BUNDLED_EXPERT}" must have a text encoder`);
  const vae = await openVae(join(BUNDLED_ZOO, "vae"));
  return { family: "sd15", unet: unet.config, text: text.config, vae: vae.config };
}
