/** A job in words. @module */

import { count, duration } from "../parts/format.js";
import { isEnded } from "./job_events.js";

/** What happens to it. */
export function stateText({ status, queue_position: before, progress, error }) {
  if (status === "queued") {
    return before ? `Waiting: ${count(before, "job")} before it` : "Waiting: next in line";
  }
  if (status === "canceling") return "Cancelling after this step";
  if (status === "canceled") return "Cancelled";
  if (status === "failed") return `Failed: ${error?.message ?? "no reason was given"}`;
  if (status === "expired") return "Expired: its pictures are gone";
  if (status === "succeeded") return "Finished";
  const { step, steps, eta_seconds: left } = progress;
  if (step >= steps) return "Decoding";
  if (step === 0) return `Starting ${count(steps, "step")}`;
  return `Step ${step} of ${steps}${left === null ? "" : ` · ${duration(left)} left`}`;
}

/** The same without what changes all the time, to be said aloud. */
export function spokenState(job) {
  if (job.status === "succeeded") return `Finished: ${count(job.outputs.length, "picture")}`;
  if (job.status === "running") return "Drawing";
  return isEnded(job) ? stateText(job) : "Waiting";
}

export function methodOf({ settings, ensemble }, models) {
  return settings.method ?? models.find(({ name }) => name === ensemble)?.method ?? "default";
}
