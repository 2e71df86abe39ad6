/**
 * Time embeddings of a session's steps. Rows of a sampled batch have one timestep in common; those of a training batch have their
 * own.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { concatRows, type F32Tensor, repeatRows, sliceRows } from "../tensor/tensor.ts";
import type { AddedCond, Expert, SessionConfig, StepTimesteps } from "./expert.ts";

/** @returns what gives a step's embedding, f32 `[B, Dt]` */
export async function embedSteps(
  expert: Expert,
  { batch, timesteps, addedCond }: SessionConfig,
): Promise<(stepIndex: number) => F32Tensor> {
  if (timesteps.every(isCommon)) {
    const tembs = await expert.embedTimesteps(timesteps, undefined, addedCond);
    return addedCond
      ? (step) => sliceRows(tembs, step * batch, (step + 1) * batch)
      : (step) => repeatRows(sliceRows(tembs, step, step + 1), batch);
  }
  const steps: F32Tensor[] = [];
  for (const step of timesteps) {
    steps.push(await embedRows(expert, rowTimesteps(step, batch), addedCond));
  }
  return (step) => steps[step]!;
}

/**
 * Every row at its own timestep.
 *
 * @param timesteps one per row
 * @returns f32 `[B, Dt]`
 */
export async function embedRows(
  expert: Expert,
  timesteps: readonly number[],
  addedCond?: AddedCond,
  signal?: AbortSignal,
): Promise<F32Tensor> {
  const tembs = await expert.embedTimesteps(timesteps, signal, addedCond);
  if (!addedCond) return tembs;
  // Those are all rows at all timesteps.
  const count = timesteps.length;
  return concatRows(
    timesteps.map((_, row) => sliceRows(tembs, row * count + row, row * count + row + 1)),
  );
}

/** @throws {ShapeError} if there are more or fewer timesteps than rows */
export function rowTimesteps(step: StepTimesteps, batch: number): readonly number[] {
  if (isCommon(step)) return new Array<number>(batch).fill(step);
  if (step.length === batch) return step;
  throw new ShapeError(
    `timesteps of a step must be one for all rows or one for each of ${batch}: current count is ${step.length}`,
    { details: { field: "timesteps" } },
  );
}

export function isCommon(step: StepTimesteps): step is number {
  return typeof step === "number";
}
