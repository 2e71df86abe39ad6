/** A job as the native API shows it, shaped like the jobs of ComfyUI's API v2. @module */

import { fileKeyOf } from "../../settings/setting.ts";
import { JOB_SETTINGS, type JobSettings } from "../../settings/settings.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { JobProgress } from "../runtime/live_job.ts";
import { expiresAt, isEnded, type JobOutput, type ServedJob } from "../store/served_job.ts";

export const JOBS_PATH = "/api/v1/jobs";
export const PICTURES_PATH = "/api/v1/pictures";

export function jobJson(job: ServedJob, runtime: JobRuntime): Readonly<Record<string, unknown>> {
  const { id, spec, state, outputs, error, warnings, dialect, client } = job;
  const { createdAt, startedAt, endedAt } = job;
  const self = `${JOBS_PATH}/${id}`;
  return {
    id,
    status: state,
    created_at: time(createdAt),
    started_at: time(startedAt),
    completed_at: isEnded(job) ? time(endedAt) : null,
    expires_at: time(expiresAt(job)),
    queue_position: runtime.position(job) ?? null,
    progress: progressJson(runtime.live(id)?.progress ?? lastProgress(job)),
    outputs: outputs.map(outputJson),
    error: error ? { code: error.code, message: error.message } : null,
    warnings,
    dialect,
    client,
    settings: settingsJson(job),
    prompt: spec.prompt,
    seeds: spec.seeds.map(String),
    ensemble: spec.ensemble,
    urls: { self, events: `${self}/events`, cancel: `${self}/cancel` },
  };
}

export function progressJson({ stepsDone, steps, message, secondsLeft }: JobProgress) {
  return {
    value: stepsDone / steps,
    step: stepsDone,
    steps,
    message,
    eta_seconds: secondsLeft === undefined ? null : Math.round(secondsLeft * 10) / 10,
  };
}

/** Where what the pictures look like by now can be had; the step makes another address of each. */
export function previewJson({ id, spec }: ServedJob, { stepsDone }: JobProgress) {
  const urls = spec.seeds.map((_, i) => `${JOBS_PATH}/${id}/previews/${i}?step=${stepsDone}`);
  return { step: stepsDone, urls };
}

export function outputJson(output: JobOutput) {
  const { name, seed, width, height, sizeBytes, sha256 } = output;
  return {
    ...{ id: name.replace(/\.png$/, ""), name, type: "image", content_type: "image/png" },
    ...{ size_bytes: sizeBytes, hash: `sha256:${sha256}`, url: `${PICTURES_PATH}/${name}` },
    ...{ seed, width, height },
  };
}

/** By the names that a request has them under. */
function settingsJson({ spec }: ServedJob): Readonly<Record<string, unknown>> {
  const names = Object.keys(JOB_SETTINGS) as (keyof JobSettings)[];
  const chosen = names.filter((name) => spec[name] !== undefined);
  return Object.fromEntries(chosen.map((name) => [fileKeyOf(name), spec[name]]));
}

function lastProgress({ state, spec: { steps } }: ServedJob): JobProgress {
  return { stepsDone: state === "succeeded" ? steps : 0, steps, message: state };
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
