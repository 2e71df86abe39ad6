/** Draws one job after another with one ensemble. @module */

import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { onceEach } from "../jobs/once_each.ts";
import { imageNames, type Place } from "../jobs/output_paths.ts";
import { type DrawnImages, type JobRun, runJob } from "../jobs/run_job.ts";
import { watchLoading } from "./loading_watch.ts";
import { type PictureJob, refusalIn } from "./picture_jobs.ts";

export interface DrawJobsOptions extends Omit<JobRun, "spec" | "origins" | "onStep"> {
  /** Whether names tell which of the prompts a picture is of. */
  readonly isNumbered: boolean;
  /** Told what the picture looks like after each step: the estimate of its clean latents. */
  readonly onDenoised?: (denoised: F32Tensor) => Promise<void>;
}

/** Draws job after job behind one progress bar. */
export async function* drawJobs(
  jobs: readonly PictureJob[],
  { isNumbered, onDenoised, note = () => {}, ...run }: DrawJobsOptions,
  isSilent: boolean,
): AsyncGenerator<{ drawn: DrawnImages; place: Place; names: readonly string[] }, void, void> {
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const total = sum(jobs.map(({ spec }) => spec.steps));
  using progress = new Progress({
    label: "Sampling",
    total,
    terminal: stderrTerminal(),
    now: () => performance.now(),
    isSilent,
  });
  let steps = 0, done = 0, label = "Sampling";
  using loading = watchLoading(run.ensemble.members, (text) => progress.tick(text ?? label));
  // What is said of the models is said of each job.
  const tellOnce = onceEach(note);
  const pictures = sum(jobs.map(({ spec }) => spec.seeds.length));
  let before = 0;
  for (const [index, { spec, origins, where }] of jobs.entries()) {
    label = jobs.length === 1 ? "Sampling" : `Sampling ${index + 1} of ${jobs.length}`;
    const drawn = await runJob({
      ...run,
      ...{ spec, origins },
      note: tellOnce,
      onStep: async (stepsDone, denoised) => {
        // Whoever has computed a step has its weights.
        if (steps + stepsDone > done) loading.over();
        progress.update(done = steps + stepsDone, label);
        if (denoised) await onDenoised?.(denoised);
      },
    }).catch((error) => {
      throw refusalIn(where, error);
    });
    steps += spec.steps;
    if (steps === total) progress.stop();
    const among = { prompt: spec.prompt, index, count: jobs.length };
    const names = imageNames(spec.seeds, isNumbered ? among : undefined);
    yield { drawn, names, place: { before, total: pictures } };
    before += spec.seeds.length;
  }
}
