/** The end of a job that somebody waits for with an open connection. @module */

import { TuttiError } from "../../../shared/errors.ts";
import type { ServedJob } from "../store/served_job.ts";
import type { JobRuntime } from "./job_runtime.ts";

/**
 * Cancels the job when the client is gone: nobody would see its pictures.
 *
 * @throws {TuttiError} CANCELLED if the client went away, UNAVAILABLE if the server ends before
 */
export async function waitForEnd(
  runtime: JobRuntime,
  job: ServedJob,
  gone: AbortSignal,
): Promise<ServedJob> {
  const live = runtime.live(job.id);
  if (!live) return await runtime.find(job.id) ?? job;
  const left = Promise.withResolvers<never>();
  const leave = () => {
    if (!live.isEnding) void runtime.cancel(live.job);
    left.reject(new TuttiError("CANCELLED", "The client went away"));
  };
  gone.addEventListener("abort", leave);
  if (gone.aborted) leave();
  try {
    return await Promise.race([live.ended, left.promise]);
  } finally {
    gone.removeEventListener("abort", leave);
  }
}
