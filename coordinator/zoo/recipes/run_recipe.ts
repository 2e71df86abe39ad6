/**
 * Trains a zoo stage by stage. What is in the folder already is not made again, and a stage that was interrupted goes on: the same call
 * after a kill at any moment ends with the same bits.
 *
 * In the folder: the models, `ensemble.toml`, `zoo.json` (what the zoo follows from), and `runs/STAGE` with the loss curve, a report and,
 * until the stage is done, its checkpoints.
 *
 * @module
 */

import { join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { FormatError, UsageError } from "../../../shared/errors.ts";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import { holdRun } from "../../training/hold_run.ts";
import { trainDenoiser } from "./denoiser_stage.ts";
import { writeEnsembleFile, writeSharedFiles } from "./ensemble_folder.ts";
import { checkSettings, type RunSettings } from "./model_checkpoint.ts";
import { type Stage, STAGES, type ZooRecipe } from "./recipe.ts";
import { trainSabw } from "./sabw_stage.ts";
import {
  runFolder,
  type StageContext,
  type StageEvent,
  type StageResult,
} from "./stage_context.ts";
import { STAGE_REPORT, writeStageReport } from "./stage_report.ts";
import { trainVae } from "./vae_stage.ts";

export type ZooEvent =
  | ({ readonly stage: Stage } & StageEvent)
  | { readonly stage: Stage; readonly event: "done"; readonly quality: StageResult["quality"] }
  | { readonly stage: Stage; readonly event: "there" };

const RECORD = "zoo.json";

/**
 * @param stages that are wanted
 * @throws {FormatError} naming the first setting in which the zoo in the folder was begun otherwise
 * @throws {UsageError} if a stage needs one that is neither there nor wanted
 * @throws {TuttiError} FAILED_PRECONDITION while another process trains a zoo there
 */
export async function* runRecipe(
  context: StageContext,
  stages: readonly Stage[] = STAGES,
): AsyncGenerator<ZooEvent, void, void> {
  const { out, recipe } = context;
  using _held = await holdRun(out);
  await begin(out, recipe);
  for (const stage of STAGES.filter((name) => stages.includes(name))) {
    if (await isDone(context, stage)) {
      yield { stage, event: "there" };
      continue;
    }
    for (const needed of neededBy(stage)) {
      if (await exists(join(out, needed))) continue;
      throw new UsageError(
        `Stage "${stage}" needs "${needed}": "${join(out, needed)}" does not exist`,
      );
    }
    const events = trainStage(context, stage);
    let next = await events.next();
    for (; !next.done; next = await events.next()) yield { stage, ...next.value };
    const { quality } = next.value;
    await writeStageReport(runFolder(context, stage), stage, next.value);
    await Deno.remove(join(runFolder(context, stage), "checkpoints"), { recursive: true })
      .catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    yield { stage, event: "done", quality };
  }
}

/** The report comes last. A stage that was killed just before it goes on from its last step. */
async function isDone(context: StageContext, stage: Stage): Promise<boolean> {
  const reported = await exists(join(runFolder(context, stage), STAGE_REPORT));
  return reported && await exists(join(context.out, stage));
}

function trainStage(
  context: StageContext,
  stage: Stage,
): AsyncGenerator<StageEvent, StageResult, void> {
  if (stage === "vae") return trainVae(context);
  return stage === "sabw" ? trainSabw(context) : trainDenoiser(context, stage);
}

function neededBy(stage: Stage): readonly Stage[] {
  const needed: Readonly<Record<Stage, readonly Stage[]>> = {
    vae: [],
    base: ["vae"],
    round: ["vae", "base"],
    square: ["vae", "base"],
    pointed: ["vae", "base"],
    sabw: ["vae", "round", "square", "pointed"],
  };
  return needed[stage];
}

async function begin(out: string, { seed, scale }: ZooRecipe): Promise<void> {
  const settings: RunSettings = { seed: String(seed), scale };
  const path = join(out, RECORD);
  if (await exists(path)) {
    checkSettings(settings, await readRecord(path), path);
    await removeUnfinished(out);
    return;
  }
  await Deno.mkdir(out, { recursive: true });
  await writeSharedFiles(out);
  await writeEnsembleFile(out, "uniform");
  // Last: what is not written yet would be missing otherwise.
  await writeWholeFile(path, `${JSON.stringify(settings, null, 1)}\n`);
}

/** What a process was writing when it was killed (`whole_folder.ts`). */
async function removeUnfinished(out: string): Promise<void> {
  for await (const { name } of Deno.readDir(out)) {
    if (!/\.[0-9a-f-]{36}\.(partial|old)$/.test(name)) continue;
    await Deno.remove(join(out, name), { recursive: true });
  }
}

async function readRecord(path: string): Promise<RunSettings> {
  try {
    return JSON.parse(await Deno.readTextFile(path)) as RunSettings;
  } catch (cause) {
    throw new FormatError(`Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
}
