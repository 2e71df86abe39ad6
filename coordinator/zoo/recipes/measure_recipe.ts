/** How long a recipe takes on this machine: a few updates of each stage with untrained weights, times their number. @module */

import process from "node:process";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import { seededNoise } from "../../training/seeded_draws.ts";
import { copyInto } from "./copy_folder.ts";
import { type DenoiserStage, recipeOf, trainableDenoiser } from "./denoiser.ts";
import { DenoiserRows } from "./denoiser_rows.ts";
import { BUNDLED_ZOO, EXPERT_SHAPES, type Stage, STAGES } from "./recipe.ts";
import { trainSabw } from "./sabw_stage.ts";
import type { StageContext, StageEvent } from "./stage_context.ts";
import { type ModelRun, trainModel } from "./train_model.ts";
import { trainableVae, vaeInputs } from "./vae_stage.ts";

/** Updates that are timed, after one in which the runtime prepares itself. */
const TIMED = 3;

export interface StageTime {
  readonly stage: Stage;
  readonly steps: number;
  /** Of one update. */
  readonly wallSeconds: number;
  /** On all cores together: what an update costs whatever else the machine does. */
  readonly cpuSeconds: number;
}

/** @param folder for temporary files */
export async function* measureRecipe(
  context: StageContext,
  folder: string,
): AsyncGenerator<StageTime, void, void> {
  let expert: StageTime | undefined;
  for (const stage of STAGES) {
    // The experts differ in their data only.
    const isExpert = stage in EXPERT_SHAPES;
    const time: StageTime = isExpert && expert
      ? { ...expert, stage }
      : await measureStage(context, stage, folder);
    if (isExpert) expert = time;
    yield time;
  }
}

async function measureStage(
  context: StageContext,
  stage: Stage,
  folder: string,
): Promise<StageTime> {
  if (stage === "sabw") return await measureSabw(context, folder);
  const { recipe, signal } = context;
  const settings = stage === "vae" ? recipe.vae : recipeOf(recipe, stage);
  await using model = stage === "vae" ? trainableVae(context) : trainableDenoiser(context, stage);
  const rows = stage === "vae" ? undefined : noiseRows(context, stage);
  const run: ModelRun = {
    ...{ ...settings, stage, model, folder, settings: {}, checkpointEvery: Infinity },
    inputs: (first) =>
      Promise.resolve(
        rows
          ? rows.training(stage, first, model.batch, recipe.base.dropText)
          : vaeInputs(context, first),
      ),
    ...(signal && { signal }),
  };
  return { stage, steps: settings.steps, ...await timeSteps(trainModel(run)) };
}

/** How good latents are does not change how long they take. */
function noiseRows({ recipe, tokenizer }: StageContext, stage: DenoiserStage): DenoiserRows {
  const { configs: { unet, text, vae }, imageSize, seed } = recipe;
  const size = imageSize / 2 ** (vae.blockOutChannels.length - 1);
  const emptyIds = encodePrompt(tokenizer, "", text.maxLength).inputIds;
  const latents = seededNoise(seed, ["measure", stage], [1, unet.inChannels, size, size]);
  return new DenoiserRows({ latents, inputIds: [emptyIds], emptyIds, unet, seed });
}

/** With the experts that come with Tutti. */
async function measureSabw(context: StageContext, folder: string): Promise<StageTime> {
  const { sabw } = context.recipe;
  await copyInto(BUNDLED_ZOO, folder);
  const few = { ...sabw, pictures: 4 * sabw.batch, holdOut: 1, steps: TIMED + 1 };
  const recipe = { ...context.recipe, sabw: few, checkpointEvery: Infinity };
  const stage = trainSabw({ ...context, recipe, out: folder });
  return { stage: "sabw", steps: sabw.steps, ...await timeSteps(stage) };
}

async function timeSteps(
  events: AsyncGenerator<StageEvent | { readonly step: number }, unknown, void>,
): Promise<Pick<StageTime, "wallSeconds" | "cpuSeconds">> {
  let start: readonly [number, number] | undefined;
  for await (const event of events) {
    if (!("step" in event)) continue;
    const now = [performance.now() / 1000, cpuSeconds()] as const;
    if (event.step === 1) start = now;
    if (event.step < TIMED + 1) continue;
    const [wall, cpu] = [now[0] - start![0], now[1] - start![1]];
    return { wallSeconds: wall / TIMED, cpuSeconds: cpu / TIMED };
  }
  throw new RangeError(`A stage must have ${TIMED + 1} steps to be measured`);
}

/** Of this process so far. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
