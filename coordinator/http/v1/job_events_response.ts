/** `/api/v1/jobs/ID/events`: a job's way to its end as server-sent events that can be picked up where they were cut off. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { JobChange } from "../runtime/live_job.ts";
import { wrongField } from "../runtime/job_request.ts";
import { eventStreamResponse, type ServerSentEvent } from "../server/event_stream.ts";
import type { Call } from "../server/route.ts";
import type { ServedJob } from "../store/served_job.ts";
import { jobJson, outputJson, previewJson, progressJson } from "./job_json.ts";

/**
 * Events are `progress`, `preview` with addresses of what the pictures look like so far, `output` for each picture, and `status` with the whole job; the last one is the `status` in which
 * the job ends. After that there is nothing: 204, which ends an EventSource.
 */
export function jobEvents(runtime: JobRuntime, job: ServedJob, { request }: Call): Response {
  const text = request.headers.get("last-event-id") ?? "0";
  if (!/^\d{1,15}$/.test(text)) throw wrongField("Last-Event-ID", "an id that came before", text);
  const after = Number(text);
  const live = runtime.live(job.id);
  if (!live) {
    const id = job.endedAt ?? 0;
    if (after >= id) return new Response(null, { status: 204 });
    const change = { kind: "status" as const, job };
    return eventStreamResponse(async function* () {
      yield* eventsOf(runtime, id, change);
    });
  }
  return eventStreamResponse(async function* (signal) {
    for await (const { id, data } of live.events.after(after, signal)) {
      yield* eventsOf(runtime, id, data);
    }
  });
}

function* eventsOf(
  runtime: JobRuntime,
  id: number,
  change: Pick<JobChange, "kind" | "job"> & Partial<JobChange>,
): Generator<ServerSentEvent> {
  const { kind, job, progress } = change;
  if (kind === "progress") {
    const hasPreview = runtime.live(job.id)?.denoised !== undefined;
    // Without an id of its own: whoever is cut off before it gets the next step's.
    if (hasPreview) yield { event: "preview", data: previewJson(job, progress!) };
    yield { id, event: "progress", data: progressJson(progress!) };
    return;
  }
  // They have no id of their own: whoever is cut off between them gets all of them again.
  for (const output of job.outputs) yield { event: "output", data: outputJson(output) };
  yield { id, event: "status", data: jobJson(job, runtime) };
}
