/** `/sdapi/v1/progress`: how far the caller's request is; idle is all zeros, which clients wait for. @module */

import { base64 } from "../runtime/job_pictures.ts";
import { jobPreviews } from "../runtime/job_previews.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { JsonObject } from "../server/request_body.ts";
import type { ActiveRequests } from "./active_requests.ts";

/** @param skipsImage whether the client wants no preview */
export async function progressJson(
  requests: ActiveRequests,
  runtime: JobRuntime,
  { owner, skipsImage }: { readonly owner: string; readonly skipsImage: boolean },
): Promise<JsonObject> {
  const request = requests.current(owner);
  const live = request && requests.running(request);
  const { stepsDone = 0, steps = 0, secondsLeft = 0 } = live?.progress ?? {};
  const [preview] = live && !skipsImage ? await jobPreviews(runtime.ensembles, live) ?? [] : [];
  const count = request?.ids.length ?? 0;
  const left = request?.ids.filter((id) => runtime.live(id)).length ?? 0;
  const isInterrupted = request?.isInterrupted ?? false;
  const done = count - left + (steps === 0 ? 0 : stepsDone / steps);
  return {
    progress: live ? Math.min(1, 0.01 + done / count) : 0,
    eta_relative: secondsLeft,
    state: {
      skipped: false,
      interrupted: isInterrupted,
      stopping_generation: isInterrupted,
      job: request ? request.ids[count - left] ?? "" : "",
      job_count: count,
      job_timestamp: request ? timestamp(request.startedAt) : "0",
      job_no: count - left,
      sampling_step: stepsDone,
      sampling_steps: steps,
    },
    current_image: preview ? base64(preview) : null,
    textinfo: request && !live ? "waiting for its turn" : null,
  };
}

/** `20261231235959` */
export function timestamp(date: Date): string {
  const digits = (value: number, length = 2) => String(value).padStart(length, "0");
  const { year, rest } = {
    year: digits(date.getFullYear(), 4),
    rest: [
      date.getMonth() + 1,
      date.getDate(),
      date.getHours(),
      date.getMinutes(),
      date.getSeconds(),
    ],
  };
  return year + rest.map((value) => digits(value)).join("");
}
