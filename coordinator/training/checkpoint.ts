/**
 * Where training can go on from: a folder with SABW (ready to sample with), the optimiser's moments, and the record of the run. The state of
 * randomness and the position in the data are the seed and the number of updates (`seeded_draws.ts`).
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../../shared/errors.ts";
import { readRegularText } from "../../shared/regular_file.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { float32ToFloat16 } from "../../shared/tensor/half.ts";
import { type F32Tensor, makeTensor } from "../../shared/tensor/tensor.ts";
import { type SabwMetadata, writeSabwMetadata } from "../sampling/methods/sabw/sabw_metadata.ts";
import { type SabwDType, writeSabwFolder } from "../sampling/methods/sabw/write_sabw_folder.ts";
import type { Moments } from "./adamw.ts";
import type { OptimizerState } from "./optimizer.ts";
import type { TrainableAggregator } from "./trainable_sabw.ts";
import { writeWholeFolder } from "./whole_folder.ts";

/** What a run remembers besides tensors. */
export interface TrainingRecord {
  /** What its numbers follow from: a run that goes on must have the same. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** Of each update, in order. */
  readonly losses: readonly number[];
  readonly heldOut: readonly HeldOutPoint[];
}

export interface HeldOutPoint {
  /** After this many updates. */
  readonly step: number;
  readonly loss: number;
}

export interface Checkpoint {
  readonly optimizer: OptimizerState;
  readonly record: TrainingRecord;
}

export interface CheckpointToWrite extends Checkpoint {
  readonly aggregators: readonly TrainableAggregator[];
  readonly metadata: SabwMetadata;
}

const RECORD = "training.json", OPTIMIZER = "optimizer.safetensors";
const FORMAT_VERSION = 1;

/**
 * The weights and `tutti.json`, nothing else: what sampling needs.
 *
 * @param dtype float16 rounds weights to half their size
 */
export async function writeTrainedSabw(
  folder: string,
  { aggregators, metadata }: Pick<CheckpointToWrite, "aggregators" | "metadata">,
  dtype: SabwDType = "float32",
): Promise<void> {
  await writeWholeFolder(folder, (inside) => writeSabw(inside, { aggregators, metadata }, dtype));
}

async function writeSabw(
  folder: string,
  { aggregators, metadata }: Pick<CheckpointToWrite, "aggregators" | "metadata">,
  dtype: SabwDType = "float32",
): Promise<void> {
  const stored = (weight: F32Tensor) =>
    dtype === "float16" ? makeTensor(dtype, weight.shape, float32ToFloat16(weight.data)) : weight;
  const toWrite = aggregators.map(({ config, parameters }) => ({
    config,
    piecesOf: (key: string) => [stored(parameters.get(key)!)],
  }));
  await writeSabwFolder(folder, metadata.experts.length, toWrite, dtype);
  await writeSabwMetadata(folder, metadata);
}

export async function writeCheckpoint(folder: string, options: CheckpointToWrite): Promise<void> {
  const { optimizer: { updates, moments }, record } = options;
  const tensors: Record<string, F32Tensor> = {};
  for (const [block, byKey] of moments) {
    for (const [key, { first, second }] of byKey) {
      tensors[`first.${block}.${key}`] = first;
      tensors[`second.${block}.${key}`] = second;
    }
  }
  await writeWholeFolder(folder, async (inside) => {
    await writeSabw(inside, options);
    await writeSafetensors(join(inside, OPTIMIZER), tensors);
    const json = { format_version: FORMAT_VERSION, updates, ...record };
    await Deno.writeTextFile(join(inside, RECORD), `${JSON.stringify(json)}\n`);
  });
}

/**
 * All but the weights, which `TrainableSabw.open()` reads.
 *
 * @throws {FormatError} if the folder is no checkpoint or damaged
 */
export async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const path = join(folder, RECORD);
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(await readRegularText(path));
  } catch (cause) {
    throw new FormatError(`Cannot read checkpoint "${path}": ${(cause as Error).message}`, {
      cause,
    });
  }
  const { format_version, updates, recipe, losses, heldOut } = json;
  const isRead = format_version === FORMAT_VERSION && Number.isSafeInteger(updates) &&
    Array.isArray(losses) && losses.length === updates && Array.isArray(heldOut) &&
    typeof recipe === "object" && recipe !== null;
  if (!isRead) {
    throw new FormatError(
      `Checkpoint "${path}" must have format_version ${FORMAT_VERSION}, and "updates", "losses", "heldOut" and "recipe" that fit each other`,
    );
  }
  const moments = await readMoments(join(folder, OPTIMIZER));
  return {
    optimizer: { updates: updates as number, moments },
    record: { recipe: recipe as TrainingRecord["recipe"], losses, heldOut },
  };
}

async function readMoments(path: string): Promise<OptimizerState["moments"]> {
  const file = await SafetensorsFile.open(path);
  const tensors = await file.readMany(file.entries.keys());
  const moments = new Map<string, Map<string, Moments>>();
  for (const [name, first] of tensors) {
    const [, block, key] = /^first\.([^.]+)\.(.+)$/.exec(name) ?? [];
    if (block === undefined || key === undefined) continue;
    const second = tensors.get(`second.${block}.${key}`);
    if (!second || first.dtype !== "float32" || second.dtype !== "float32") {
      throw new FormatError(`Checkpoint "${path}" must have f32 moments of ${block} ${key}`);
    }
    const ofBlock = moments.get(block) ?? new Map<string, Moments>();
    moments.set(
      block,
      ofBlock.set(key, { first: first as F32Tensor, second: second as F32Tensor }),
    );
  }
  return moments;
}
