/** A run that goes on where an earlier one was left, if it can. @module */

import { FormatError } from "../../shared/errors.ts";
import type { CheckpointStore } from "./checkpoint_store.ts";
import { type DrawnImages, type JobRun, runJob } from "./run_job.ts";
import { isOtherRun } from "./step_checkpoint.ts";

/**
 * Draws from the newest step on. A checkpoint that cannot be read, or that other models or another machine made, is of no
 * use: the image is drawn from the beginning.
 *
 * @param onAnew told why a checkpoint is not used
 * @throws what `runJob()` and the store throw
 */
export async function resumeJob(
  run: Omit<JobRun, "from">,
  checkpoint: Pick<CheckpointStore, "load">,
  onAnew: (reason: string) => void,
): Promise<DrawnImages> {
  const from = await checkpoint.load().catch((error) => {
    if (!(error instanceof FormatError)) throw error;
    onAnew(error.message);
    return undefined;
  });
  if (!from) return await runJob(run);
  try {
    return await runJob({ ...run, from });
  } catch (error) {
    if (!isOtherRun(error)) throw error;
    onAnew((error as Error).message);
    return await runJob(run);
  }
}
