/** Options of benchmarks that run models, and the models that they name. @module */

import { type Command, Option } from "commander";
import { basename } from "node:path";
import { UsageError } from "../../../shared/errors.ts";
import { formatTable } from "../../../shared/terminal/table.ts";
import {
  BENCH_MODEL_NAMES,
  BENCH_MODELS,
  type BenchModelName,
  type BenchModels,
  randomUNetBytes,
  randomUNets,
} from "../../bench/bench_model.ts";
import type { Conditions } from "../../bench/bench_result.ts";
import { checkRoom, type Room } from "../../bench/room.ts";
import { ByteProgress } from "../byte_progress.ts";
import { imageSize, wholeNumber } from "../flags.ts";
import type { BenchContext } from "./bench_entry.ts";

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** For the help of commands that take `--family`. */
export const MODEL_NOTES = `Models with random weights (--family), and why:
${
  formatTable(
    ["", ""],
    BENCH_MODEL_NAMES.map((name) => [`  ${name}`, BENCH_MODELS[name].reason]),
  )
}`;

export function familyOption(): Option {
  return new Option("--family <name>", "a U-Net of this size with random weights")
    .choices(BENCH_MODEL_NAMES);
}

/** For commands that measure one model of the user's or a random one. */
export function addOneModelOptions(command: Command): Command {
  return command
    .addOption(familyOption())
    .option("--model <path>", "a model of yours: diffusers folder or single file")
    .option("--config <folder>", "folder with the config.json's of a single file of unusual sizes");
}

/** For commands that compare an ensemble with something else, in pairs of runs. */
export function addPairOptions(command: Command): Command {
  return command
    .addOption(familyOption().default("sd15"))
    .option("--experts <n>", "models of the ensemble", wholeNumber("--experts"), 2)
    .option("--pairs <n>", "rounds to measure", wholeNumber("--pairs"), 9)
    .option("--stats", "say for each block where the time went", false)
    .addOption(sizeOption(256))
    .addOption(batchOption());
}

export function sizeOption(pixels: number): Option {
  return new Option("--size <pixels>", "512, or 768x512 as width x height")
    .argParser(imageSize("--size"))
    .default({ width: pixels, height: pixels }, String(pixels));
}

export function batchOption(): Option {
  return new Option("--batch <n>", "rows of a call: two with guidance")
    .argParser(wholeNumber("--batch")).default(2);
}

export function threadsOption(meaning: string): Option {
  return new Option("--threads <n>", meaning)
    .argParser(wholeNumber("--threads")).default(navigator.hardwareConcurrency, "cores");
}

/** `sd15-256`, `sdxl-768x512` */
export function shapeName(model: BenchModelName, { width, height }: ImageSize): string {
  return `${model}-${width === height ? width : `${width}x${height}`}`;
}

/**
 * Writes the files, with a bar.
 *
 * @param room what will be in memory at the same time, checked before anything is written
 * @throws {TuttiError} RESOURCE_EXHAUSTED if memory or disk is too small
 */
export async function writeModels(
  name: BenchModelName,
  count: number,
  { json, signal }: BenchContext,
  room?: Room,
): Promise<BenchModels> {
  if (room) checkRoom(room);
  using progress = new ByteProgress(
    "Writing random weights",
    count * randomUNetBytes(name),
    json,
  );
  return await randomUNets(name, { count, signal, onProgress: (done) => progress.update(done) });
}

/** What a reader must know of a benchmark of one model. */
export function modelConditions(
  { model, family, size, batch, threads }: {
    readonly model?: string;
    readonly family?: BenchModelName;
    readonly size: ImageSize;
    readonly batch: number;
    readonly threads: number;
  },
): Conditions {
  const name = family ?? basename(model ?? "");
  return { model: name, size: `${size.width}x${size.height}`, batch, threads };
}

/** The user's model, or one that is written for the benchmark. */
export async function oneModel(
  bench: string,
  { model, family, config }: {
    readonly model?: string;
    readonly family?: BenchModelName;
    readonly config?: string;
  },
  context: BenchContext,
): Promise<{ readonly path: string; readonly configFrom?: string } & AsyncDisposable> {
  if ((model === undefined) === (family === undefined)) {
    throw new UsageError(`bench ${bench} needs either --family or --model`);
  }
  const configFrom = config === undefined ? {} : { configFrom: config };
  if (model !== undefined) {
    return { path: model, ...configFrom, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const models = await writeModels(family!, 1, context);
  return {
    path: models.paths[0]!,
    ...(models.configFrom !== undefined && { configFrom: models.configFrom }),
    [Symbol.asyncDispose]: () => models[Symbol.asyncDispose](),
  };
}
