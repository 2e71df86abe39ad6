/** One job of the server, from its newest step to pictures in files: the same code draws it as `tutti sample`. @module */

import { TuttiError } from "../../../shared/errors.ts";
import type { Patience } from "../../cluster/admission_retry.ts";
import type { CheckpointStore } from "../../jobs/checkpoint_store.ts";
import { onceEach } from "../../jobs/once_each.ts";
import { resumeJob } from "../../jobs/resume_job.ts";
import type { JobRun } from "../../jobs/run_job.ts";
import type { JobOutput } from "../store/served_job.ts";
import type { PictureFolder } from "../store/picture_folder.ts";
import type { LiveJob } from "./live_job.ts";
import type { ServedEnsemble } from "./served_ensembles.ts";

export interface DrawContext {
  readonly served: ServedEnsemble;
  readonly checkpoint: CheckpointStore;
  readonly pictures: PictureFolder;
  /** How long a job waits for room on workers that are full. */
  readonly patience: (signal: AbortSignal) => Patience;
  /** Ends the run after its step, for another server to go on. */
  readonly draining: AbortSignal;
  readonly warn: (text: string) => void;
  /** Told after each step of this run. */
  readonly onProgress: () => void;
}

/** @throws {TuttiError} CANCELLED if it was cancelled, UNAVAILABLE with `state: "draining"`, what `runJob()` throws */
export async function drawLiveJob(live: LiveJob, context: DrawContext): Promise<JobOutput[]> {
  const { served: { ensemble }, checkpoint, pictures, patience, draining } = context;
  const { id, spec, inputs } = live.job;
  const { cancelled: signal } = live;
  const warn = onceEach(context.warn);
  const run: JobRun = {
    ...{ ensemble, spec, job: id, draining, signal },
    ...(inputs && { init: await pictures.readInputs(inputs) }),
    // It may quote the prompt, which is for the client to read and not for the log.
    warn: live.warn,
    patience: patience(AbortSignal.any([signal, draining])),
    checkpoints: {
      // A full disk costs what a restart would have saved, not the picture.
      save: (step) =>
        checkpoint.save(step).catch((error) =>
          warn(`job ${id}: its steps are not kept: ${TuttiError.from(error).message}`)
        ),
    },
    onStep: (stepsDone, denoised) => {
      const isFurther = live.isBegun;
      live.setSteps(stepsDone, denoised);
      if (isFurther) context.onProgress();
    },
  };
  const drawn = await resumeJob(
    run,
    checkpoint,
    (reason) => warn(`job ${id} begins anew: ${reason}`),
  );
  const outputs = await pictures.store(ensemble, id, drawn);
  if (!signal.aborted) return outputs;
  await pictures.remove(outputs.map(({ name }) => name));
  throw new TuttiError("CANCELLED", `Job "${id}" was cancelled`);
}
