/**
 * How long one U-Net call takes on this machine and where its time goes: an expert in this process runs whole steps
 * through its blocks, with ONNX Runtime's profile on, next to the machine's best matrix product.
 *
 * @module
 */

import { join } from "node:path";
import { openCheckpoint } from "../../shared/checkpoint/checkpoint.ts";
import { type LocalExpert, openLocalExpert } from "../../shared/engine/local_expert.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { MatrixRate } from "./matrix_rate.ts";
import { mergeProfiles, parseProfile, type RunProfile } from "./ort_profile.ts";
import { type CallInputs, type CallSize, randomInputs } from "./random_inputs.ts";
import { stepFlops } from "./step_flops.ts";
import { type StepReport, stepReport } from "./step_report.ts";

export interface StepBenchOptions extends CallSize {
  /** Diffusers folder or single file. */
  readonly model: string;
  readonly configFrom?: string;
  readonly threads: number;
  /** Steps to time, after a first one that loads the weights. */
  readonly steps: number;
  /** Side of the matrices whose product is the measure. */
  readonly matrixSize?: number;
  readonly signal?: AbortSignal;
  /** Told before each step; the first is 0. */
  readonly onStep?: (step: number) => void;
}

/** Products before the first step and after the last one, and between two steps. */
const MATRIX_RUNS = { around: 8, between: 4 };

/** @throws {FormatError} if the model cannot be opened */
export async function benchStep(options: StepBenchOptions): Promise<StepReport> {
  const { model, threads, configFrom } = options;
  const lane = { device: "cpu", threads } as const;
  const fromConfig = configFrom === undefined ? {} : { configFrom };
  const { unet } = await openCheckpoint(model, fromConfig);
  const profileFolder = await Deno.makeTempDir({ prefix: "tutti-profile-" });
  try {
    const expert = await openLocalExpert({
      ...lane,
      ...fromConfig,
      model,
      lanes: 1,
      profileFolder,
    });
    try {
      await using matrix = await MatrixRate.open(lane, options.matrixSize);
      const inputs = randomInputs(expert.description, options);
      const elapsedMs = await runSteps(expert, inputs, matrix, options);
      await expert.releaseGraphs();
      const blocks = expert.description.blocks.map(({ id }) => id);
      return stepReport({
        elapsedMs: elapsedMs.slice(1),
        firstMs: elapsedMs[0]!,
        profiles: (await readProfiles(profileFolder, blocks, elapsedMs.length)).slice(1),
        flops: stepFlops(unet, inputs.session),
        bestRate: matrix.best,
      });
    } finally {
      await expert.close();
    }
  } finally {
    await Deno.remove(profileFolder, { recursive: true });
  }
}

/** @returns milliseconds of each step, the first one with the loading of the weights */
async function runSteps(
  expert: LocalExpert,
  { session: config, latents }: CallInputs,
  matrix: MatrixRate,
  { steps, signal, onStep }: StepBenchOptions,
): Promise<number[]> {
  const { blocks } = expert.description;
  const session = await expert.openSession(config);
  const elapsedMs: number[] = [];
  await matrix.measure(MATRIX_RUNS.around);
  for (let step = 0; step <= steps; step++) {
    throwIfAborted(signal);
    onStep?.(step);
    const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
    const start = performance.now();
    await session.forward({ ...range, hiddenStates: latents }, signal);
    elapsedMs.push(performance.now() - start);
    await matrix.measure(MATRIX_RUNS.between);
  }
  await matrix.measure(MATRIX_RUNS.around);
  await session.close();
  return elapsedMs;
}

/** What all blocks did, step by step. */
async function readProfiles(
  folder: string,
  blocks: readonly string[],
  steps: number,
): Promise<RunProfile[]> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const runs = await Promise.all(blocks.map(async (block) => {
    const name = names.find((name) => name.startsWith(`${block}_`));
    const path = join(folder, name ?? `${block}_*.json`);
    const profiles = parseProfile(await Deno.readTextFile(path), path);
    if (profiles.length === steps) return profiles;
    throw new TuttiError(
      "INTERNAL",
      `Profile of ${block} must have ${steps} runs: it has ${profiles.length}`,
    );
  }));
  return Array.from({ length: steps }, (_, step) => mergeProfiles(runs.map((run) => run[step]!)));
}
