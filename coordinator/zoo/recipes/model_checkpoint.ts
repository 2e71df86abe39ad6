/**
 * Where the training of a model can go on from, after a kill at any moment: folders `step-N` with all that changes from step to
 * step. A folder has its name only once it is whole; the newest is taken. Randomness follows from the seed and the step
 * (`seeded_draws.ts`).
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { writeWholeFolder } from "../../training/whole_folder.ts";
import type { FlatTensors } from "./flat_tensors.ts";

/** What a step changes, by name. */
export interface ModelState {
  readonly parameters: FlatTensors;
  /** AdamW's moments. */
  readonly first: FlatTensors;
  readonly second: FlatTensors;
  /** Moving average of the parameters: what the model is used with. */
  readonly average: FlatTensors;
}

/** What the numbers of a run follow from: one that goes on must have the same. */
export type RunSettings = Readonly<Record<string, string | number | boolean>>;

const STATE = "state.safetensors", RECORD = "run.json";
const FORMAT_VERSION = 1;
const STEP_FOLDER = /^step-(\d{7,})$/;
/** The newest, and one that is known to be good should its disk not be. */
const KEPT = 2;

export interface CheckpointRecord {
  readonly settings: RunSettings;
  /** Of each update, in order. */
  readonly losses: readonly number[];
}

/** @returns the checkpoint's path */
export async function saveCheckpoint(
  folder: string,
  state: ModelState,
  record: CheckpointRecord,
): Promise<string> {
  const path = join(folder, `step-${String(record.losses.length).padStart(7, "0")}`);
  const tensors: Record<string, F32Tensor> = {};
  for (const [part, { tensors: byKey }] of Object.entries(state)) {
    for (const [key, tensor] of byKey) tensors[`${part}.${key}`] = tensor;
  }
  await writeWholeFolder(path, async (inside) => {
    await writeSafetensors(join(inside, STATE), tensors);
    const json = { format_version: FORMAT_VERSION, ...record };
    await Deno.writeTextFile(join(inside, RECORD), `${JSON.stringify(json)}\n`);
  });
  await removeAllBut(folder, (await stepFolders(folder)).slice(0, KEPT));
  return path;
}

/**
 * Reads the newest checkpoint into `state`.
 *
 * @returns losses of the updates that it has behind it; none without a checkpoint
 * @throws {FormatError} if it is damaged, or of a run with other settings
 */
export async function loadCheckpoint(
  folder: string,
  state: ModelState,
  settings: RunSettings,
): Promise<number[]> {
  const [name] = await stepFolders(folder);
  if (name === undefined) return [];
  const path = join(folder, name);
  const record = await readRecord(join(path, RECORD));
  checkSettings(settings, record.settings, path);
  if (record.losses.length !== stepOf(name)) {
    throw new FormatError(
      `Checkpoint "${path}" must have a loss per step: current count is ${record.losses.length}`,
    );
  }
  const file = await SafetensorsFile.open(join(path, STATE));
  const tensors = await file.readMany(file.entries.keys());
  for (const [part, flat] of Object.entries(state)) {
    const ofPart = [...tensors].flatMap(([key, tensor]) =>
      key.startsWith(`${part}.`) ? [[key.slice(part.length + 1), tensor as F32Tensor] as const] : []
    );
    flat.set(new Map(ofPart));
  }
  return [...record.losses];
}

/** @throws {FormatError} naming the first setting that is another one */
export function checkSettings(current: RunSettings, wanted: RunSettings, where: string): void {
  for (const key of new Set([...Object.keys(wanted), ...Object.keys(current)])) {
    if (wanted[key] === current[key]) continue;
    throw new FormatError(
      `A run goes on with its own settings: "${key}" must be ${
        JSON.stringify(wanted[key])
      } as in "${where}": current value is ${JSON.stringify(current[key])}`,
    );
  }
}

async function readRecord(path: string): Promise<CheckpointRecord> {
  try {
    const { format_version, settings, losses } = JSON.parse(await Deno.readTextFile(path));
    if (format_version === FORMAT_VERSION && Array.isArray(losses) && settings) {
      return { settings, losses };
    }
  } catch (cause) {
    throw new FormatError(`Cannot read checkpoint "${path}": ${(cause as Error).message}`, {
      cause,
    });
  }
  throw new FormatError(
    `Checkpoint "${path}" must have format_version ${FORMAT_VERSION}, "settings" and "losses"`,
  );
}

const stepOf = (name: string): number => Number(STEP_FOLDER.exec(name)![1]);

/** Names, the newest first. */
async function stepFolders(folder: string): Promise<string[]> {
  const names = await namesIn(folder);
  return names.filter((name) => STEP_FOLDER.test(name)).sort((a, b) => stepOf(b) - stepOf(a));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Older checkpoints, and what a killed run left unfinished. */
async function removeAllBut(folder: string, kept: readonly string[]): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (!kept.includes(name)) await Deno.remove(join(folder, name), { recursive: true });
  }
}
