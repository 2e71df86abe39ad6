/** The folder of a training run: its checkpoints, and whether a run may begin or go on there. @module */

import { basename, join } from "node:path";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import type { CooldownSpan } from "./learning_rate.ts";

const STEP_FOLDER = /^step-(\d{7,})$/;

export function checkpointPath(out: string, step: number): string {
  return join(out, "checkpoints", `step-${String(step).padStart(7, "0")}`);
}

/** Paths, the newest first; folders that were not finished have other names. */
async function findCheckpoints(out: string): Promise<string[]> {
  const folder = join(out, "checkpoints");
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    const stepOf = (name: string) => Number(STEP_FOLDER.exec(name)![1]);
    return names.filter((name) => STEP_FOLDER.test(name))
      .sort((a, b) => stepOf(b) - stepOf(a)).map((name) => join(folder, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

export async function removeOldCheckpoints(out: string, keep: number): Promise<void> {
  for (const path of (await findCheckpoints(out)).slice(keep)) {
    await Deno.remove(path, { recursive: true });
  }
}

/** Keys of recipes that have not been there from the first version on. */
const TOLD_LATER: ReadonlySet<string> = new Set([
  "draws_per_image",
  "scaling_factor",
  "noise_schedule",
  "micro_batch",
]);

/**
 * The newest checkpoint of a run.
 *
 * @throws {FormatError} if there is none, or its recipe is another one. A cooldown may be another one while neither has begun
 */
export async function findCheckpoint(
  out: string,
  recipe: Readonly<Record<string, unknown>>,
): Promise<Checkpoint & { readonly path: string }> {
  const [path] = await findCheckpoints(out);
  if (path === undefined) throw nothingToResume(out);
  const checkpoint = await readCheckpoint(path);
  for (const key of new Set([...Object.keys(recipe), ...Object.keys(checkpoint.record.recipe)])) {
    const [wanted, current] = [checkpoint.record.recipe[key], recipe[key]].map((value) =>
      JSON.stringify(value)
    );
    if (wanted === current) continue;
    // A run of an earlier version does not tell.
    if (wanted === undefined && TOLD_LATER.has(key)) continue;
    const isBegun = (span: unknown) =>
      span !== undefined && checkpoint.optimizer.updates > (span as CooldownSpan).from;
    const spans = [checkpoint.record.recipe[key], recipe[key]];
    if (key === "cooldown" && !spans.some(isBegun)) continue;
    throw new FormatError(
      `--resume needs the run's own settings: "${key}" must be ${wanted} as in ${
        basename(path)
      }: current value is ${current}`,
    );
  }
  return { ...checkpoint, path };
}

/**
 * What can be said before anything is opened.
 *
 * @throws {UsageError} if a new run would go where one is
 * @throws {FormatError} if there is none to go on with
 */
export async function checkRunFolder(out: string, isResumed: boolean): Promise<void> {
  const isThere = await hasRun(out);
  if (isResumed && !isThere) throw nothingToResume(out);
  if (!isResumed && isThere) {
    throw new UsageError(`"${out}" has a run already: --resume goes on, another --out begins anew`);
  }
}

function nothingToResume(out: string): FormatError {
  return new FormatError(
    `--resume needs a checkpoint in "${join(out, "checkpoints")}": it has none`,
  );
}

/** Whether a run was begun in this folder. */
export async function hasRun(out: string): Promise<boolean> {
  return (await findCheckpoints(out)).length > 0;
}
